"""A failure, and a death, at every step of a start: afterwards nothing is left, and the same command works."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..support import CHECKOUT, Cli, Snapshot

pytestmark = [pytest.mark.root, pytest.mark.alone]

ENGINE = ("check", "image", "record", "volumes", "rootfs", "netns", "link", "hosts", "cgroup", "supervisor")
SUPERVISOR = ("mount", "fill", "bundle", "create", "start")
#: Runs one container through the engine, and does `ACT` when the step named by argument enters the phase.
_PROGRAM = """
import os, signal, sys
from cmanager import Engine
from cmanager.errors import HostError
from cmanager.model import RunRequest, VolumeMount

root, run_root, step, phase, act = sys.argv[1:]

def observe(name, now, seconds):
    if (name, now) == (step, phase):
        if act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if act == "kill the supervisor":
            os.kill(engine.store.all()[0].status.supervisor.pid, signal.SIGKILL)
            return
        raise HostError("pretend at step", step, 5)

engine = Engine(root, run_root, observe=observe)
engine.run(RunRequest(image="busybox", command=("true",), name="victim", volumes=(VolumeMount("", "/etc"),)))
"""


def run(cli: Cli, step: str, phase: str, act: str) -> int:
    arguments = [str(cli.root), str(cli.run_root), step, phase, act]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT}/plugins"},
        capture_output=True,
        timeout=60,
    )
    return done.returncode


CASES = [(step, act) for step in ENGINE for act in ("fail", "kill")]
CASES += [(step, act) for step in SUPERVISOR for act in ("fail", "kill", "kill the supervisor")]


# Between two steps one point is enough for every day: where one is done the next begins.
@pytest.mark.parametrize("phase", [pytest.param("do", marks=pytest.mark.slow), "done"])
@pytest.mark.parametrize(("step", "act"), CASES)
def test_nothing_is_left_and_the_same_command_works(cli: Cli, step: str, phase: str, act: str) -> None:
    cli.ok("run", "--rm", "busybox", "true")  # layers and the limiter's parent are there
    before = Snapshot.take()
    assert run(cli, step, phase, act) != 0
    cli.ok("gc")
    cli.ok("rm", "-f", "-v", "victim")
    assert cli.names() == []
    assert cli.ok("volume", "ls", "-q") == ""
    left = Snapshot.take().beyond(before)
    assert left == {}, left
    assert cli.ok("run", "--rm", "--name", "victim", "busybox", "echo", "well") == "well"
