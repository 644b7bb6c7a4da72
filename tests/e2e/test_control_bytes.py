"""Nothing of an image, a container or a volume acts on the operator's terminal; `logs` and attached output are raw."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

#: Clears the screen, sets a title, rings, starts an 8-bit sequence, turns text round.
EVIL = "\x1b[2J\x1b]0;title\x07\x08\x9b31m\u202e"
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def hostile(machine: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A container that is hostile wherever it can be, and its image and volume."""
    place = tmp_path_factory.mktemp("hostile")
    machine.ok("volume", "create", "-l", f"a={EVIL}", "hostile")
    script = f"mkdir '/dir{EVIL}'; echo started > /mnt/ready; exec sleep 1000"
    options = (
        *("-l", f"a={EVIL}", "-e", f"A={EVIL}", "--annotation", f"a={EVIL}", "-p", "18081:80"),
        *("-v", "hostile:/data", "-v", f"{place}:/mnt", "--mount", f"type=bind,src={place},dst=/{EVIL}"),
        # The second check never ends: others look at what runs on this machine meanwhile.
        *("--health-cmd", f"printf '{EVIL}'; test ! -e /mnt/asked || sleep 1000; touch /mnt/asked; false"),
        *("--health-interval", "200ms", "--health-timeout", "1h"),
    )
    try:
        machine.ok("run", "-d", "--name", "hostile", *options, "busybox", "sh", "-c", script, EVIL)
        wait_until((place / "ready").exists, "it runs")
        machine.ok("exec", "hostile", "sh", "-c", f": '{EVIL}'")
        machine.ok("commit", "-m", EVIL, "-c", f'LABEL a="{EVIL}"', "hostile", "hostile:1")
        yield machine
    finally:
        machine("rm", "-fv", "hostile")
        machine("rmi", "-f", "hostile:1")
        machine("volume", "rm", "-f", "hostile")


@pytest.mark.parametrize(
    "command",
    [
        ["ps", "-a"],
        ["ps", "-a", "--no-trunc"],
        ["ps", "-a", "--format", "{{.Command}} {{.Labels}} {{.Mounts}}"],
        ["ps", "-a", "--format", "table {{.Labels}}\t{{.Mounts}}"],
        ["ps", "-a", "--format", "{{json .}}"],
        ["ps", "-a", "--format", "json"],
        ["ps", "-a", "--output", "json"],
        ["ps", "-a", "--filter", f"label=a={EVIL}"],
        ["ps", "-a", "--filter", f"{EVIL}=1"],
        ["ps", "-a", "--filter", f"name={EVIL}("],
        ["ps", "-a", "--sort", EVIL],
        ["ps", "--format", "{{." + EVIL + "}}"],
        ["inspect", "hostile"],
        ["inspect", "-f", "{{.Config.Env}} {{.Args}} {{.Config.Labels}} {{.State.Health}}", "hostile"],
        ["inspect", "-f", "{{json .Config}}", "hostile"],
        ["inspect", "--format", "json", "hostile"],
        ["inspect", "--output", "json", "hostile"],
        ["inspect", "-f", "{{.Config.Labels}}", "hostile:1"],
        ["inspect", EVIL],
        ["image", "inspect", "hostile:1"],
        ["images"],
        ["images", "--output", "json"],
        ["images", EVIL],
        ["top", "hostile"],
        ["top", "hostile", "-o", "pid,args"],
        ["top", "hostile", f"-{EVIL}"],
        ["diff", "hostile"],
        ["events", "--since", "5m", "--until", "0s"],
        ["events", "--since", "5m", "--until", "0s", "--format", "json"],
        ["events", "--since", "5m", "--until", "0s", "--format", "{{.Action}} {{.Actor.Attributes}}"],
        ["port", "hostile"],
        ["port", "hostile", EVIL],
        ["volume", "ls"],
        ["volume", "ls", "--format", "{{.Labels}}"],
        ["volume", "ls", "--format", "json"],
        ["volume", "ls", "--output", "json"],
        ["volume", "inspect", "hostile"],
        ["volume", "rm", EVIL],
        ["volume", "rm", "hostile"],
        ["system", "df", "-v"],
        ["system", "df", "-v", "--output", "json"],
        ["info"],
        ["rm", EVIL],
        ["stop", EVIL],
        ["logs", EVIL],
        ["cp", f"hostile:/{EVIL}/none", "/nowhere"],
        ["cp", f"hostile:/dir{EVIL}", "/proc/none/there"],
        ["rename", "hostile", EVIL],
        ["exec", "hostile", EVIL],
        ["exec", "-u", EVIL, "hostile", "true"],
        ["exec", "-w", f"/{EVIL}/none", "hostile", "true"],
        ["run", "--rm", "busybox", EVIL],
        ["run", "--rm", "--name", EVIL, "busybox"],
        ["run", "--rm", "-u", EVIL, "busybox"],
        ["run", "--rm", EVIL],
        ["run", "--rm", f"--{EVIL}", "busybox"],
        ["run", "--rm", "-v", f"/{EVIL}", "busybox", f"/{EVIL}"],
        ["explain", "run", "--network-alias", EVIL, "busybox"],
        ["explain", "run", "-l", f"a={EVIL}", "busybox", EVIL],
        ["pull", EVIL],
        [EVIL],
    ],
    ids=lambda command: " ".join(command).replace(EVIL, "EVIL"),
)
def test_no_control_byte_reaches_the_terminal(hostile: Cli, command: list[str]) -> None:
    done = hostile(*command)
    assert not _HARMFUL.search(done.stdout), done.stdout
    assert not _HARMFUL.search(done.stderr), done.stderr
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_shown_is_still_there_to_be_read(hostile: Cli) -> None:
    assert r"A /dir\x1b[2J" in hostile.ok("diff", "hostile")
    assert r"a=\x1b[2J" in hostile.ok("volume", "ls", "--format", "{{.Labels}}")
    assert r"a=\x1b[2J" in hostile.ok("ps", "--format", "{{.Labels}}")
    assert r"a=\x1b[2J" in hostile.ok("events", "--since", "5m", "--until", "0s", "--filter", "event=start")
    assert hostile.inspect("hostile")["Config"]["Labels"]["a"] == EVIL


def test_completion_offers_nothing_harmful(hostile: Cli) -> None:
    for line in ("cmanager ps --filter ", "cmanager volume rm ", "cmanager stop "):
        environment = {"_CMANAGER_COMPLETE": "bash_complete", "COMP_LINE": line}
        assert not _HARMFUL.search(hostile.ok(env=environment))


def test_a_copy_says_harmlessly_where_it_went(hostile: Cli, tmp_path: Path) -> None:
    done = hostile("cp", "hostile:/etc/passwd", f"{tmp_path}/{EVIL}")
    assert done.returncode == 0
    assert not _HARMFUL.search(done.stderr)
    assert os.listdir(tmp_path) == [EVIL]
