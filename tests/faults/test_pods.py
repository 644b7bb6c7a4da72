"""A failure, and a death, at every step that makes or removes a pod, or puts a container into one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..support import CHECKOUT, Cli, Snapshot

pytestmark = [pytest.mark.root, pytest.mark.alone]

PARTS = ("pod netns", "pod link", "pod hosts", "pod ipc", "pod shm", "pod uts")
STEPS = ("pod record", "pod ports", *PARTS, "pod up")
#: Does what `VERB` says to the pod `victim`, and does `ACT` when the step named by argument enters the phase.
_PROGRAM = """
import os, signal, sys
from cmanager import Engine
from cmanager.errors import HostError
from cmanager.model import PodRequest, PortMapping, RunRequest

root, run_root, verb, step, phase, act = sys.argv[1:]

def observe(name, now, seconds):
    if (name, now) == (step, phase):
        if act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise HostError("pretend at step", step, 5)

engine = Engine(root, run_root, observe=observe)
ports = (PortMapping("", 8080, 80),)
if verb == "create":
    engine.pods.create(PodRequest("victim", publish=ports))
elif verb == "remove":
    engine.pods.remove("victim", force=True)
else:
    pod = "new:victim" if verb == "run new" else "victim"
    ports = ports if verb == "run new" else ()
    engine.run(RunRequest(image="busybox", command=("true",), name="inside", pod=pod, publish=ports))
"""
CREATE = ("pod", "create", "--name", "victim", "-p", "8080:80")


def run(cli: Cli, verb: str, step: str, phase: str, act: str) -> int:
    arguments = [str(cli.root), str(cli.run_root), verb, step, phase, act]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT}/plugins"},
        capture_output=True,
        timeout=60,
    )
    return done.returncode


@pytest.fixture
def before(cli: Cli) -> Snapshot:
    cli.ok("run", "--rm", "busybox", "true")  # layers and the limiter's parent are there
    return Snapshot.take()


def assert_nothing_is_left(cli: Cli, before: Snapshot) -> None:
    assert cli.ok("pod", "ls", "-q") == ""
    assert cli.names() == []
    assert [*cli.run_root.glob("pods/*"), *cli.root.glob("pods/*"), *cli.root.glob("podnames/*")] == []
    left = Snapshot.take().beyond(before)
    assert left == {}, left


@pytest.mark.parametrize("act", ["fail", "kill"])
@pytest.mark.parametrize(("step", "phase"), [("pod record", "do"), *((step, "done") for step in STEPS)])
def test_a_creation_that_ends_early_leaves_nothing_and_works_again(
    cli: Cli, before: Snapshot, step: str, phase: str, act: str
) -> None:
    assert run(cli, "create", step, phase, act) != 0
    if act == "kill":
        cli.ok("gc")
    assert_nothing_is_left(cli, before)
    cli.ok(*CREATE)
    assert cli.ok("run", "--rm", "--pod", "victim", "busybox", "hostname") == "victim"
    cli.ok("pod", "rm", "victim")
    assert_nothing_is_left(cli, before)


@pytest.mark.parametrize("step", ["pod record", "pod link", "pod up"])
def test_the_same_command_works_without_anybody_collecting(cli: Cli, before: Snapshot, step: str) -> None:
    assert run(cli, "create", step, "done", "kill") != 0
    cli.ok(*CREATE)
    cli.ok("pod", "rm", "victim")
    assert_nothing_is_left(cli, before)


@pytest.mark.parametrize("step", PARTS)
def test_a_removal_that_is_killed_is_finished_by_the_next(cli: Cli, before: Snapshot, step: str) -> None:
    cli.ok(*CREATE)
    cli.ok("create", "--name", "inside", "--pod", "victim", "busybox", "true")
    assert run(cli, "remove", step, "undo", "kill") != 0
    cli.ok("gc")
    left = Snapshot.take().beyond(before)
    assert left == {}, left
    cli.ok("pod", "rm", "victim")
    assert_nothing_is_left(cli, before)


@pytest.mark.parametrize("step", ["pod netns", "pod shm", "pod uts"])
def test_what_a_killed_removal_took_is_made_anew_for_a_container(cli: Cli, before: Snapshot, step: str) -> None:
    cli.ok(*CREATE)
    assert run(cli, "remove", step, "undo", "kill") != 0
    assert cli.ok("run", "--rm", "--pod", "victim", "busybox", "hostname") == "victim"
    cli.ok("pod", "rm", "victim")
    assert_nothing_is_left(cli, before)


@pytest.mark.parametrize("act", ["fail", "kill"])
@pytest.mark.parametrize("step", ["image", "pod netns", "pod up", "pod", "record", "volumes", "rootfs"])
def test_a_container_that_does_not_come_to_be_leaves_no_new_pod(
    cli: Cli, before: Snapshot, step: str, act: str
) -> None:
    assert run(cli, "run new", step, "done", act) != 0
    cli.ok("gc")
    if act == "kill":
        cli.ok("rm", "-f", "inside")
        cli.ok("pod", "rm", "-f", "victim")
    assert_nothing_is_left(cli, before)
    assert cli.ok("run", "--rm", "--pod", "new:victim", "busybox", "hostname") == "victim"
    cli.ok("pod", "rm", "victim")


@pytest.mark.parametrize("act", ["fail", "kill"])
@pytest.mark.parametrize("step", ["pod", "link", "cgroup", "supervisor", "create", "start"])
def test_a_start_that_ends_early_leaves_the_pod_as_it_was(cli: Cli, before: Snapshot, step: str, act: str) -> None:
    cli.ok(*CREATE)
    whole = Snapshot.take()
    run(cli, "run", step, "done", act)
    cli.ok("gc")
    cli.ok("rm", "-f", "inside")
    left = Snapshot.take().beyond(whole)
    assert left == {}, left
    assert cli.ok("run", "--rm", "--pod", "victim", "busybox", "hostname") == "victim"
    cli.ok("pod", "rm", "victim")
    assert_nothing_is_left(cli, before)


def test_what_has_lost_its_record_is_collected(cli: Cli, before: Snapshot) -> None:
    id = cli.ok(*CREATE)
    (cli.root / "pods" / id / "config.json").unlink()
    cli.ok("gc")
    assert_nothing_is_left(cli, before)
