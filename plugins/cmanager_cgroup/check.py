"""Which controller each limit needs, and which processors there are."""

from __future__ import annotations

from cmanager.errors import InvalidError
from cmanager.model import Limits
from cmanager.model.limits import processors

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


def within(wanted: str, available: str) -> None:
    """InvalidError for a list of processors that names some that are not to be had (cpuset(7))."""
    missing = sorted(processors(wanted) - processors(available))
    if missing:
        raise InvalidError(f"invalid --cpuset-cpus {wanted!r}: no processor {missing[0]}, available are {available}")
