"""Who is who below lxc-execute: its child is lxc's init, and init's oldest child is the program (proc(5))."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

from cmanager.linux.process import Process


def children(pid: int) -> list[int]:
    """Children of a single-threaded process, the oldest first; none when it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return _by_parent(pid) if os.path.exists(f"/proc/{pid}") else []  # a kernel without CONFIG_PROC_CHILDREN
    except OSError:
        return []


def _by_parent(pid: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == pid:
                found.append(int(name))
    return sorted(found, key=lambda child: (Process.of(child).started, child))


def look(monitor: int) -> tuple[Process | None, bool]:
    """What an lxc-execute has started: the program when it has been executed, and whether it has ended already."""
    for init in children(monitor)[:1]:
        orphans = False
        for pid in children(init):
            found, executable = Process.of(pid), _executable(pid)
            # Until it executes the program it is a copy of lxc-execute.
            if not found.started or executable in (None, _executable(monitor)):
                return None, False
            # lxc's init gives the program a session of its own; what it left behind is in that one.
            if _session(pid) == pid:
                return found, False
            orphans = True
        if orphans:
            return None, True
    return None, False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _executable(pid: int) -> tuple[int, int] | None:
    try:
        found = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return found.st_dev, found.st_ino


def below(pid: int) -> Iterator[int]:
    """All descendants, the nearest first."""
    nearest = children(pid)
    yield from nearest
    for child in nearest:
        yield from below(child)


def end_below(pid: int) -> None:
    """Kill all descendants of a process, but not itself."""
    for child in below(pid):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
