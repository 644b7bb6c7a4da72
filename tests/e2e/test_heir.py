"""The heir: who starts a container leaves it, when it has run for a moment, to a process that has less in memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cmanager.linux.process import children

from ..pools import Pool, pool
from ..support import Cli, wait_until

pytestmark = pytest.mark.root

WAIT = "while ! [ -e /go ]; do sleep 0.1; done"


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


def run(cli: Pool, *words: str) -> str:
    """Run a script in a slot, as `box`, detached, and wait until it is left to its heir; what follows WAIT in it comes
    after `go`."""
    slot = ready(cli)
    assert cli.ok("run", "-d", "--name", "box", *words[:-1], "sh", "-c", words[-1].replace("WAIT", WAIT)) == slot
    wait_until(lambda: left(cli, "box"), "it is left to the heir")
    return slot


def ready(cli: Pool) -> str:
    """The id of a slot."""
    if not cli.slots():
        cli.ok("run", "--rm", "busybox", "true")
    return cli.one()


def go(cli: Pool) -> None:
    cli.ok("exec", "box", "touch", "/go")


@contextmanager
def young(cli: Pool, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A container `box` in a slot with a client attached, to which it is not left before that has gone."""
    ready(cli)
    command = [*cli.command, "run", "--name", "box", *words]
    quiet = subprocess.DEVNULL
    client = subprocess.Popen(command, env=cli.environment, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        wait_until(lambda: cli("exec", "box", "true").returncode == 0, "it runs")
        yield client
    finally:
        client.kill()
        client.wait()


def states(cli: Pool) -> list[str]:
    words = ("--filter", "container=box", "--since", "1m", "--until", "0s", "--format", "{{.Action}}")
    return [action for action in cli.ok("events", *words).split("\n") if not action.startswith("exec_")]


def test_the_supervisor_that_is_recorded_is_the_heir_from_the_beginning(cli: Pool) -> None:
    with young(cli, "busybox", "sleep", "1000") as client:
        heir, init = ids(cli, "box")
        (starter,) = children(heir)
        assert children(starter) == [init]
        client.kill()
        wait_until(lambda: children(heir) == [init], "the one that started it has ended")
        assert ids(cli, "box") == (heir, init)


def test_output_is_kept_before_and_after(cli: Pool) -> None:
    run(cli, "busybox", "echo one; WAIT; echo two; echo three >&2; exit 7")
    assert cli.ok("logs", "box") == "one"
    go(cli)
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
    run(cli, "-t", "busybox", "echo one; WAIT; echo two; test -t 0 && exit 5")
    go(cli)
    assert cli.ok("wait", "box") == "5"
    assert cli.ok("logs", "box").split() == ["one", "two"]


def test_it_starts_again_by_its_policy(cli: Pool) -> None:
    run(cli, "--restart", "on-failure", "busybox", "echo life; WAIT; test -e /second && exit 0; touch /second; exit 1")
    go(cli)
    wait_until(lambda: cli.inspect("box")["State"]["Status"] == "exited", "its second life is over", 20)
    assert cli.ok("logs", "box") == "life\nlife"
    assert cli.inspect("box")["RestartCount"] == 1


def test_a_limit_that_is_reached_is_told_of(cli: Pool) -> None:
    run(cli, "--memory", "16m", "--memory-swap", "16m", "busybox", "WAIT; tail /dev/zero")
    go(cli)
    cli.ok("wait", "box")
    assert states(cli).count("oom") == 1
    assert cli.inspect("box")["State"]["OOMKilled"]


def test_killing_it_loses_the_container_as_ever(cli: Pool) -> None:
    run(cli, "busybox", "sleep 1000")
    heir, _ = ids(cli, "box")
    os.kill(heir, signal.SIGKILL)
    assert lost(cli, heir)


@pytest.mark.parametrize("killed", [0, 1], ids=["heir", "starter"])
def test_before_that_each_of_the_two_ends_with_the_other(cli: Pool, killed: int) -> None:
    with young(cli, "busybox", "sleep", "1000"):
        heir, _ = ids(cli, "box")
        (starter,) = children(heir)
        os.kill((heir, starter)[killed], signal.SIGKILL)
        assert lost(cli, heir, starter)


def lost(cli: Pool, *pids: int) -> bool:
    """Whether the container is known to have lost its supervisor, of which nothing is left."""
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "nothing of it is left")
    found = cli.inspect("box")["State"]
    return (found["Status"], found["Running"]) == ("exited", False) and "supervisor lost" in found["Error"]


def test_whom_somebody_waits_for_is_not_left(cli: Pool) -> None:
    """A health check is run again and again, which takes what the heir has not."""
    ready(cli)
    cli.ok("run", "-d", "--name", "box", "--health-cmd", "true", "--health-interval", "1s", "busybox", "sleep", "1000")
    wait_until(lambda: cli.inspect("box")["State"]["Health"]["Status"] == "healthy", "it is healthy")
    time.sleep(1.5)
    heir, init = ids(cli, "box")
    (starter,) = children(heir)
    assert init in children(starter)


def test_orphans_of_the_container_are_reaped(cli: Pool) -> None:
    """Without a pid namespace of its own, what its processes leave behind becomes the heir's."""
    run(cli, "--pid", "host", "busybox", "WAIT; (sleep 0.5 & sleep 0.1); exec sleep 1000")
    heir, init = ids(cli, "box")
    go(cli)
    wait_until(lambda: len(children(heir)) == 2, "an orphan has come")
    wait_until(lambda: children(heir) == [init], "it has ended and was reaped")


def test_what_is_removed_after_leaving_leaves_nothing(cli: Pool) -> None:
    slot = run(cli, "--rm", "busybox", "WAIT")
    go(cli)
    wait_until(lambda: slot not in os.listdir(cli.run_root / "containers"), "it is removed")
    assert cli.ok("ps", "-aq") == ""


def test_a_command_line_may_be_long(cli: Pool) -> None:
    run(cli, "busybox", f"WAIT; exit 9 # {'ü' * 20_000}")
    go(cli)
    assert cli.ok("wait", "box") == "9"


def test_a_runtime_that_cannot_take_it_over_loses_no_exit_code(cli: Pool) -> None:
    id = run(cli, "busybox", "WAIT; sleep 1; exit 9")
    go(cli)
    (cli.run_root / "containers" / id / "bundle" / "config.json").write_text("broken")
    assert cli.ok("wait", "box") == "9"


def test_what_is_configured_later_is_for_later_containers(cli: Pool, tmp_path: Path) -> None:
    config = tmp_path / "plugins.toml"
    config.write_text("")
    cli.config = config
    run(cli, "busybox", "WAIT; sleep 1; exit 9")
    go(cli)
    config.write_text("[broken")
    (status,) = (cli.root / "containers").glob("*/status.json")
    wait_until(lambda: json.loads(status.read_text()).get("exit_code") == 9, "its end is recorded")
    config.write_text("")
