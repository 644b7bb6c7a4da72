"""Killing everything in a cgroup, whatever it does meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from ...errors import HostError
from . import files

_ROUNDS = 100


def kill_tree(directory: str) -> bool:
    """cgroup.kill of cgroup v2 (Linux 5.14): all at once, frozen or forking. False where there is none."""
    try:
        files.write(f"{directory}/cgroup.kill", "1")
    except HostError:
        return False
    return True


def kill_each(directory: str, freeze: Callable[[bool], None]) -> None:
    """One by one, frozen so that none can fork on; until a look finds nobody new."""
    seen: set[int] = set()
    freeze(True)
    try:
        for _ in range(_ROUNDS):
            found = _pids(directory) - seen
            if not found:
                return
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            seen |= found
    finally:
        freeze(False)


def _pids(directory: str) -> set[int]:
    found: set[int] = set()
    for below, _, _ in os.walk(directory):
        text = files.read_or(f"{below}/cgroup.procs", "")
        # 0 stands for a process of another pid namespace, which cannot be ours.
        found.update(int(word) for word in text.split() if word != "0")
    return found
