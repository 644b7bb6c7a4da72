"""Resource limits."""

from __future__ import annotations

import os

from attrs import field, fields, frozen

from ..errors import InvalidError
from ..linux.cgroupfs.rules import DeviceRule

__all__ = ["Cgroup", "DeviceRule", "Limits", "check_ranges", "processors"]

#: What the kernel needs to run a process at all; Docker's bound.
_LEAST_MEMORY = 6 << 20
_POSSIBLE = "/sys/devices/system/cpu/possible"


@frozen
class Limits:
    """What a cgroup may use; None leaves the kernel's default.

    memory: bytes; cpus: number of CPUs' worth of time per second; cpu_shares: Docker's relative weight, 2 to 262144;
    pids: processes and threads, -1 for no limit; cpuset_cpus: list such as "0-1,3"; devices: rules in order, the
    last that matches wins, empty for no device control.
    """

    memory: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    pids: int | None = None
    cpuset_cpus: str | None = None
    devices: tuple[DeviceRule, ...] = ()

    def given(self) -> dict[str, object]:
        """The limits that are set, by field name."""
        values = {f.name: getattr(self, f.name) for f in fields(Limits)}
        return {name: value for name, value in values.items() if value not in (None, ())}


@frozen
class Cgroup:
    """A cgroup of a container.

    path: str like "/cmanager/ID", the same in every hierarchy, which is OCI's cgroupsPath; warnings: lines for the
    user about what was degraded.
    """

    path: str
    warnings: tuple[str, ...] = field(default=())


def check_ranges(limits: Limits) -> None:
    """InvalidError for a value that no kernel takes, or not one with this host's processors."""
    if limits.memory is not None and limits.memory < _LEAST_MEMORY:
        raise InvalidError(f"invalid --memory {limits.memory}, the least is {_LEAST_MEMORY >> 20}m")
    count = os.cpu_count() or 1
    if limits.cpus is not None and not 0.01 <= limits.cpus <= count:
        raise InvalidError(f"invalid --cpus {limits.cpus:g}, expected 0.01 to {count}, which this host has")
    if limits.cpu_shares is not None and not 2 <= limits.cpu_shares <= 262144:
        raise InvalidError(f"invalid --cpu-shares {limits.cpu_shares}, expected 2 to 262144")
    if limits.pids is not None and limits.pids != -1 and not 1 <= limits.pids <= 4194304:
        raise InvalidError(f"invalid --pids-limit {limits.pids}, expected -1 or 1 to 4194304")
    if limits.cpuset_cpus is not None:
        with open(_POSSIBLE, encoding="ascii") as file:
            possible = file.read().strip()
        missing = sorted(processors(limits.cpuset_cpus) - processors(possible))
        if missing:
            raise InvalidError(
                f"invalid --cpuset-cpus {limits.cpuset_cpus!r}: no processor {missing[0]}, this host has {possible}"
            )


def processors(text: str) -> set[int]:
    """The numbers of a list of processors, such as "0-1,3" (cpuset(7)); InvalidError when it is none."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or len(part) > 16:
            raise InvalidError(f"invalid --cpuset-cpus {text!r}, expected a list such as 0-1,3")
        end = int(last) if dash else int(first)
        if end < int(first) or end > 8191:
            raise InvalidError(f"invalid --cpuset-cpus {text!r}: {part} is no range of processors")
        found.update(range(int(first), end + 1))
    return found
