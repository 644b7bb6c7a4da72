"""`--time`: where each millisecond of a start went, the same steps that `explain` prints."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .. import servers
from ..console import console
from ..support import COLD, WARM, Cli

pytestmark = pytest.mark.root

#: What comes before the steps: of a worker, of an interpreter that seals itself, of one that need not.
SERVED = ["client", "worker", "arguments", "engine"]
SEALED = ["interpreter", "seal", "arguments", "engine"]
#: Of its end, what nothing may follow but the rest of the command.
END = ["undo create", "undo mount", "undo cgroup", "undo hosts"]


@pytest.fixture(params=["warm", "cold"])
def cli(machine: Cli, request: pytest.FixtureRequest) -> Iterator[Cli]:
    """The command line through a command server and without."""
    made = Cli(machine.root, machine.run_root, command=tuple(WARM if request.param == "warm" else COLD))
    if request.param == "warm":
        servers.begin(made)
    yield made
    assert made.clear() == []


def before(cli: Cli) -> list[str]:
    return SERVED if list(cli.command) == WARM else SEALED


def rows(stderr: str) -> list[tuple[str, str, float, float]]:
    """Part, phase, start and length of each row of a table. They follow each other, and add up to the total."""
    title, *lines, total = stderr.splitlines()
    assert title.split() == ["PART", "PHASE", "START", "MS", "TOOK", "MS"]
    found = []
    at = 0.0
    for line in lines:
        match = re.fullmatch(r"(.{10})(\S.*?) +([\d.]+) +([\d.]+)", line)
        assert match, line
        found.append((match[1].strip(), match[2], float(match[3]), float(match[4])))
        assert found[-1][2] == pytest.approx(at, abs=0.011)
        at = found[-1][2] + found[-1][3]
    assert total.split() == ["total", total.split()[-1]]
    assert float(total.split()[-1]) == pytest.approx(at, abs=0.011)
    assert float(total.split()[-1]) == pytest.approx(sum(took for *_, took in found), abs=0.006 * len(found))
    return found


def names(found: list[tuple[str, str, float, float]], *parts: str) -> list[str]:
    """Phases of these parts, each once."""
    return list(dict.fromkeys(phase for part, phase, *_ in found if part in parts))


def test_a_run_is_told_from_the_first_to_the_last_moment(cli: Cli) -> None:
    began = time.monotonic()
    done = cli("run", "-q", "--rm", "--time", "busybox", "sh", "-c", "echo out; sleep 0.2; exit 3")
    took = (time.monotonic() - began) * 1000
    assert (done.returncode, done.stdout) == (3, "out\n")
    found = rows(done.stderr)
    assert [phase for part, phase, *_ in found if part == "command"] == [*before(cli), "output"]
    explained = [line.split()[1] for line in cli.ok("explain", "run", "--rm", "busybox", "true").splitlines()]
    assert names(found, "create") == explained[: explained.index("rootfs") + 1]
    # A start looks up anew what was created, and then goes on as explained.
    looked_up = ["image", "rootfs", "volumes"]
    assert names(found, "start") == looked_up + explained[explained.index("rootfs") + 1 :]
    assert names(found, "run") == ["program", "record", *END, "remove", "attached"]
    lengths = {phase: length for part, phase, _, length in found if part == "run"}
    # It sleeps before the step that starts it is over.
    assert 150 <= lengths["program"] <= found[-1][2] + found[-1][3] <= took


def test_a_detached_run_is_told_up_to_its_start(cli: Cli) -> None:
    done = cli("run", "-q", "-d", "--time", "--name", "sleeper", "busybox", "sleep", "1000")
    assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
    found = rows(done.stderr)
    assert names(found, "run") == []
    assert names(found, "start")[-5:] == ["mount", "fill", "bundle", "create", "start"]
    assert found[-1][:2] == ("command", "output")


def test_create_and_start_tell_of_their_own(cli: Cli) -> None:
    done = cli("create", "-q", "--time", "--name", "two", "busybox", "echo", "out")
    assert names(rows(done.stderr), "create", "start", "run") == ["check", "image", "record", "volumes", "rootfs"]
    done = cli("start", "-a", "--time", "two")
    assert done.stdout == "out\n"
    found = rows(done.stderr)
    assert names(found, "create") == []
    assert names(found, "start")[:3] == ["image", "rootfs", "volumes"]
    assert names(found, "run") == ["program", "record", *END, "attached"]


def test_a_start_that_fails_tells_what_was_undone(cli: Cli) -> None:
    done = cli("run", "-q", "--rm", "--time=json", "busybox", "nonsense")
    assert done.returncode == 127
    error, line = done.stderr.splitlines()
    assert error.startswith("cmanager: ")
    items = document(line)
    undone = [item["phase"] for item in items if item["phase"].startswith("undo")]
    assert undone == ["undo create", "undo mount", "undo cgroup", "undo hosts", "undo link", "undo netns"]


def test_a_document_is_the_last_line_of_stderr(cli: Cli) -> None:
    done = cli(
        "run", "-q", "--rm", "--time=json", "--usage=json", "--network", "none", "busybox", "sh", "-c", "echo err >&2"
    )
    first, used, line = done.stderr.splitlines()
    assert first == "err"
    assert json.loads(used)["cpu_seconds"] > 0
    assert [item["phase"] for item in document(line) if item["part"] == "command"] == [*before(cli), "output"]


def document(line: str) -> list[dict[str, Any]]:
    """The items of one; each begins where the one before ended."""
    found = json.loads(line)
    assert found["schema"] == "cmanager.time/1"
    at = 0.0
    for item in found["items"]:
        assert item["start_ms"] == pytest.approx(at, abs=0.002)
        at = item["start_ms"] + item["took_ms"]
    items: list[dict[str, Any]] = found["items"]
    return items


def test_a_terminal_gets_the_table_when_the_program_has_ended(cli: Cli) -> None:
    with console(cli, "run", "-it", "--rm", "--time", "busybox", "sh", "-c", "read line; echo $line") as screen:
        screen.line("typed")
        screen.see("typed\r\n")
        screen.see("typed\r\n")
        screen.see("PART      PHASE")
        screen.see("\r\nrun       program")
        screen.see("\r\nrun       attached")
        screen.see("          total")
        assert screen.wait() == 0


def test_nothing_is_told_when_nobody_asks(cli: Cli) -> None:
    assert cli("run", "-q", "--rm", "--network", "none", "busybox", "echo", "--time").stderr == ""


def test_it_tells_of_one_container(cli: Cli) -> None:
    for name in ("one", "other"):
        cli.ok("create", "--name", name, "busybox", "true")
    for words in (["one", "other"], ["--all-restartable"]):
        done = cli("start", "--time", *words)
        assert done.returncode == 125
        assert done.stderr.startswith("cmanager: --time tells of one container, give one\n")
    assert cli.ok("ps", "-a", "--format", "{{.Status}}").splitlines() == ["Created", "Created"]
    assert cli("run", "--time=xml", "busybox", "true").returncode == 125
