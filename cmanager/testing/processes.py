"""Processes in a cgroup, for the suites of the limiter seam."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress

import pytest

from ..errors import UnsupportedError
from ..linux import cgroups, syscalls
from ..model import Limits
from ..seams import Limiter

_PR_SET_PDEATHSIG = 1  # prctl(2)


def checked(provider: Limiter, limits: Limits) -> Limits:
    """These limits; skips where the host cannot apply them."""
    try:
        provider.check(limits)
    except UnsupportedError as error:
        pytest.skip(str(error))
    return limits


def spawn(path: str, act: Callable[[], object]) -> int:
    """A process that is in the cgroup when this returns, doing `act` until it is killed."""
    joined, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for hierarchy in cgroups.hierarchies():
                if os.path.exists(hierarchy.path(path)):
                    cgroups.join(hierarchy.path(path))
            os.write(tell, b"1")
            os.close(tell)
            act()
        finally:
            os._exit(0)
    os.close(tell)
    assert os.read(joined, 1) == b"1", f"no process could be put into {path}"
    os.close(joined)
    return pid


def told(path: str, act: Callable[[], str]) -> str:
    """What `act` returns in a process of the cgroup."""
    hear, tell = os.pipe()
    pid = spawn(path, lambda: os.write(tell, act().encode()))
    os.close(tell)
    with os.fdopen(hear) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def most_forks(path: str, wanted: int) -> int:
    """How many children a process of the cgroup can have, at most `wanted`; all are gone afterwards."""

    def fork() -> str:
        children: list[int] = []
        with suppress(BlockingIOError):
            while len(children) < wanted:
                children.append(os.fork())
                if children[-1] == 0:
                    signal.pause()
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        return str(len(children))

    return int(told(path, fork) or 0)


def opens(what: str) -> str:
    """Whether "null r", "zero w" and the like can be opened: "ok", or the name of the errno."""
    name, _, access = what.partition(" ")
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDONLY if access == "r" else os.O_WRONLY))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    return "ok"


def use(size: int) -> None:
    """Touch so much memory."""
    kept = bytearray(size)
    for at in range(0, size, 4096):
        kept[at] = 1


def burn() -> None:
    """Compute until it is killed."""
    while True:
        sum(range(1000))


def end(pid: int) -> None:
    """Kill a child that the test may have ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return  # the test ended it
