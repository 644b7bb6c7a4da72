"""Who is who below lxc-execute: its child is lxc's init, and init's oldest child is the program (proc(5))."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

from cmanager.linux.process import Process, children


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
