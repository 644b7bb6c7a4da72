"""`cmanager.Engine` in a program: threads, descriptors and limits of its own, and no child but the starter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

_BEGIN = """
import os, resource, signal, sys, threading, time
from cmanager import Engine
from cmanager.model import RunRequest

engine = Engine(sys.argv[1], sys.argv[2])

def start(*command, **more):
    request = RunRequest(image="busybox", command=command, network="none", **more)
    return engine.run(request)

def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]

"""


def program(cli: Cli, script: str) -> list[str]:
    """What a program with an engine prints."""
    words = [sys.executable, "-P", "-c", _BEGIN + script, str(cli.root), str(cli.run_root)]
    done = subprocess.run(words, env=cli.environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_threads_start_containers_and_the_program_has_one_child(cli: Cli) -> None:
    script = """
codes = {}
def one(number):
    codes[number] = engine.wait(start("sh", "-c", f"exit {number}").id)
threads = [threading.Thread(target=one, args=(number,)) for number in range(5)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(codes.values()) == [0, 1, 2, 3, 4], len(children()))
"""
    assert program(cli, script) == ["True", "1"]


def test_containers_outlive_it_and_its_starter_does_not(cli: Cli) -> None:
    script = """
start("sleep", "1000", name="lives")
print(*children())
"""
    (starter,) = program(cli, script)
    wait_until(lambda: not alive(starter), "the starter has ended")
    assert cli.inspect("lives")["State"]["Running"] is True
    assert cli.ok("exec", "lives", "echo", "there") == "there"


def alive(pid: str) -> bool:
    from pathlib import Path

    return Path(f"/proc/{pid}").exists()


def test_a_starter_that_was_killed_is_replaced(cli: Cli) -> None:
    script = """
first = start("sleep", "1000", name="first")
os.kill(children()[0], signal.SIGKILL)
second = start("sh", "-c", "exit 3", name="second")
print(engine.wait(second.id), engine.inspect("first").status.state)
"""
    assert program(cli, script) == ["3", "running"]


def test_a_container_has_the_limits_of_the_program_at_that_moment(cli: Cli) -> None:
    script = """
start("true", name="before")
_, most = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (4096, most))
os.nice(3)
start("sleep", "1000", name="after")
with open(f"/proc/{engine.inspect('after').status.init.pid}/limits") as file:
    print(next(line.split()[4] for line in file if line.startswith("Max core")))
print(os.getpriority(os.PRIO_PROCESS, engine.inspect("after").status.init.pid))
"""
    assert program(cli, script) == ["4096", "3"]
