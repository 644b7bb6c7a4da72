"""Which values make sense, and which controller each limit needs."""

from __future__ import annotations

import os

from cmanager.errors import InvalidError
from cmanager.model import Limits

#: What the kernel needs to run a process at all; Docker's bound.
_LEAST_MEMORY = 6 << 20
_CONTROLLERS = {
    "memory": ("--memory", "memory"),
    "cpus": ("--cpus", "cpu"),
    "cpu_shares": ("--cpu-shares", "cpu"),
    "pids": ("--pids-limit", "pids"),
    "cpuset_cpus": ("--cpuset-cpus", "cpuset"),
    "devices": ("device control", "devices"),
}


def controllers(limits: Limits) -> dict[str, str]:
    """What the user wrote to the controller it needs, for the limits that are given."""
    return dict(_CONTROLLERS[name] for name in limits.given())


def ranges(limits: Limits) -> None:
    """InvalidError for a value that no kernel takes."""
    if limits.memory is not None and limits.memory < _LEAST_MEMORY:
        raise InvalidError(f"invalid --memory {limits.memory}, the least is {_LEAST_MEMORY >> 20}m")
    processors = os.cpu_count() or 1
    if limits.cpus is not None and not 0.01 <= limits.cpus <= processors:
        raise InvalidError(f"invalid --cpus {limits.cpus:g}, expected 0.01 to {processors}, which this host has")
    if limits.cpu_shares is not None and not 2 <= limits.cpu_shares <= 262144:
        raise InvalidError(f"invalid --cpu-shares {limits.cpu_shares}, expected 2 to 262144")
    if limits.pids is not None and limits.pids != -1 and not 1 <= limits.pids <= 4194304:
        raise InvalidError(f"invalid --pids-limit {limits.pids}, expected -1 or 1 to 4194304")


def within(wanted: str, available: str) -> None:
    """InvalidError for a list of processors that is none, or names some that are not there (cpuset(7))."""
    missing = sorted(_numbers(wanted, wanted) - _numbers(available, wanted))
    if missing:
        raise InvalidError(f"invalid --cpuset-cpus {wanted!r}: no processor {missing[0]}, available are {available}")


def _numbers(text: str, shown: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or len(part) > 16:
            raise InvalidError(f"invalid --cpuset-cpus {shown!r}, expected a list such as 0-1,3")
        end = int(last) if dash else int(first)
        if end < int(first) or end > 8191:
            raise InvalidError(f"invalid --cpuset-cpus {shown!r}: {part} is no range of processors")
        found.update(range(int(first), end + 1))
    return found
