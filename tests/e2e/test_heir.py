"""The heir: who starts a container leaves it, when it has run for a moment, to a process that has less in memory."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmanager.linux.process import children

from ..pools import Pool, pool
from ..support import Cli, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def cli(machine: Cli, tmp_path: Path) -> Iterator[Pool]:
    with pool(machine, tmp_path / "run") as made:
        yield made


def ids(cli: Pool, name: str) -> tuple[int, int]:
    """Pids of the supervisor that is recorded, and of the container's first process."""
    homes = (cli.root / "containers", cli.run_root / "containers")
    (status,) = (json.loads(path.read_text()) for home in homes for path in home.glob("*/status.json"))
    assert cli.inspect(name)["State"]["Pid"] == status["init"]["pid"]
    return status["supervisor"]["pid"], status["init"]["pid"]


def left(cli: Pool, name: str) -> bool:
    """Whether the container is its heir's."""
    heir, init = ids(cli, name)
    return children(heir) == [init]


def run(cli: Pool, *words: str, left_alone: bool = True) -> str:
    """Run a container in a slot, detached, with the name `box`, and wait until it is left to its heir."""
    if not cli.slots():
        cli.ok("run", "--rm", "busybox", "true")
    slot = cli.one()
    id = cli.ok("run", "-d", "--name", "box", *words[:-1], "sh", "-c", words[-1])
    assert id == slot
    if left_alone:
        wait_until(lambda: left(cli, "box"), "it is left to the heir")
    return id


def states(cli: Pool) -> list[str]:
    return cli.ok(
        "events", "--filter", "container=box", "--since", "1m", "--until", "0s", "--format", "{{.Action}}"
    ).split()


def test_the_supervisor_that_is_recorded_is_the_heir_from_the_beginning(cli: Pool) -> None:
    run(cli, "busybox", "sleep 1000", left_alone=False)
    heir, init = ids(cli, "box")
    (starter,) = children(heir)
    assert children(starter) == [init]
    wait_until(lambda: children(heir) == [init], "the one that started it has ended")
    assert ids(cli, "box") == (heir, init)


def test_output_is_kept_before_and_after(cli: Pool) -> None:
    run(cli, "busybox", "echo one; sleep 2.5; echo two; echo three >&2; exit 7")
    assert cli.ok("logs", "box") == "one"
    assert cli.ok("wait", "box") == "7"
    logs = cli("logs", "box")
    assert (logs.stdout, logs.stderr) == ("one\ntwo\n", "three\n")
    found = cli.inspect("box")
    assert (found["State"]["Status"], found["State"]["ExitCode"]) == ("exited", 7)
    assert found["Cmanager"]["Usage"]["CpuSeconds"] > 0
    assert states(cli) == ["create", "start", "die"]


def test_it_is_attached_to_and_executed_in(cli: Pool) -> None:
    run(cli, "-i", "busybox", "while read line; do echo got $line; test $line = quit && exit 3; done")
    assert cli.ok("exec", "box", "echo", "inside") == "inside"
    attached = cli("attach", "box", stdin="word\nquit\n")
    assert (attached.stdout, attached.returncode) == ("got word\ngot quit\n", 3)
    assert cli.ok("logs", "box") == "got word\ngot quit"


def test_it_is_stopped(cli: Pool) -> None:
    run(cli, "busybox", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
    cli.ok("stop", "box")
    assert cli.inspect("box")["State"]["ExitCode"] == 3
    assert states(cli)[-2:] == ["die", "stop"]


def test_a_terminal_is_the_same_one_afterwards(cli: Pool) -> None:
    run(cli, "-t", "busybox", "echo one; sleep 2; echo two; test -t 0 && exit 5")
    assert cli.ok("wait", "box") == "5"
    assert cli.ok("logs", "box").split() == ["one", "two"]


def test_it_starts_again_by_its_policy(cli: Pool) -> None:
    script = "echo life; sleep 2; test -e /second && exit 0; touch /second; exit 1"
    run(cli, "--restart", "on-failure", "busybox", script)
    wait_until(lambda: cli.inspect("box")["State"]["Status"] == "exited", "its second life is over", 20)
    assert cli.ok("logs", "box") == "life\nlife"
    assert cli.inspect("box")["RestartCount"] == 1


def test_a_limit_that_is_reached_is_told_of(cli: Pool) -> None:
    run(cli, "--memory", "16m", "--memory-swap", "16m", "busybox", "sleep 2; tail /dev/zero")
    cli.ok("wait", "box")
    assert states(cli).count("oom") == 1
    assert cli.inspect("box")["State"]["OOMKilled"]


@pytest.mark.parametrize("young", [True, False])
def test_killing_it_loses_the_container_as_ever(cli: Pool, young: bool) -> None:
    run(cli, "busybox", "sleep 1000", left_alone=not young)
    heir, init = ids(cli, "box")
    others = set(children(heir)) - {init}
    os.kill(heir, signal.SIGKILL)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in {heir, *others}), "nothing of it is left")
    found = cli.inspect("box")["State"]
    assert (found["Status"], found["Running"]) == ("exited", False)
    assert "supervisor lost" in found["Error"]


def test_it_ends_with_the_one_that_starts_it(cli: Pool) -> None:
    run(cli, "busybox", "sleep 1000", left_alone=False)
    heir, _ = ids(cli, "box")
    (starter,) = children(heir)
    os.kill(starter, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{heir}"), "the heir has ended")
    assert "supervisor lost" in cli.inspect("box")["State"]["Error"]


def test_whom_somebody_waits_for_is_not_left(cli: Pool) -> None:
    """A health check is run again and again, which takes what the heir has not."""
    run(cli, "--health-cmd", "true", "--health-interval", "1s", "busybox", "sleep 1000", left_alone=False)
    wait_until(lambda: cli.inspect("box")["State"]["Health"]["Status"] == "healthy", "it is healthy")
    time.sleep(1.5)
    assert not left(cli, "box")
    heir, init = ids(cli, "box")
    (starter,) = children(heir)
    assert init in children(starter)


def test_orphans_of_the_container_are_reaped(cli: Pool) -> None:
    run(cli, "--pid", "host", "busybox", "sleep 1000")
    heir, init = ids(cli, "box")
    cli.ok("exec", "-d", "box", "sh", "-c", "(sleep 0.5 &) ; exit 0")
    time.sleep(1)
    wait_until(lambda: children(heir) == [init], "nothing else is left with the heir")


def test_what_is_removed_after_leaving_leaves_nothing(cli: Pool) -> None:
    slot = run(cli, "--rm", "busybox", "sleep 1.5")
    wait_until(lambda: slot not in os.listdir(cli.run_root / "containers"), "it is removed")
    assert cli.ok("ps", "-aq") == ""


def test_a_command_line_may_be_long(cli: Pool) -> None:
    run(cli, "busybox", f"sleep 2; exit 9 # {'ü' * 20_000}")
    assert cli.ok("wait", "box") == "9"


def test_a_runtime_that_cannot_take_it_over_loses_no_exit_code(cli: Pool) -> None:
    id = run(cli, "busybox", "sleep 2.5; exit 9")
    (cli.run_root / "containers" / id / "bundle" / "config.json").write_text("broken")
    assert cli.ok("wait", "box") == "9"


def test_what_is_configured_later_is_for_later_containers(cli: Pool, tmp_path: Path) -> None:
    config = tmp_path / "plugins.toml"
    config.write_text("")
    cli.config = config
    run(cli, "busybox", "sleep 2.5; exit 9")
    config.write_text("[broken")
    (status,) = (cli.root / "containers").glob("*/status.json")
    wait_until(lambda: json.loads(status.read_text()).get("exit_code") == 9, "its end is recorded")
    config.write_text("")
