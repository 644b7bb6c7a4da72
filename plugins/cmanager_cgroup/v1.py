"""Limits as files of cgroup v1 (Documentation/admin-guide/cgroup-v1)."""

from __future__ import annotations

from cmanager.linux.cgroupfs import files
from cmanager.model import Limits

_PERIOD = 100_000  # microseconds


def writes(directory: str, limits: Limits, controllers: tuple[str, ...]) -> list[tuple[str, str]]:
    """(file, value) for the limits that these controllers apply, in order."""
    found = []
    if limits.memory is not None and "memory" in controllers:
        limit, swap = f"{directory}/memory.limit_in_bytes", f"{directory}/memory.memsw.limit_in_bytes"
        pair = [(limit, str(limits.memory)), (swap, str(2 * limits.memory))]
        current = files.read_or(swap, "")
        if not current:
            pair = pair[:1]
        elif current.isdigit() and int(current) < limits.memory:
            pair.reverse()  # memory may at no time be above memory and swap together
        found += pair
    if "cpu" in controllers:
        if limits.cpus is not None:
            found.append((f"{directory}/cpu.cfs_period_us", str(_PERIOD)))
            found.append((f"{directory}/cpu.cfs_quota_us", str(round(limits.cpus * _PERIOD))))
        if limits.cpu_shares is not None:
            found.append((f"{directory}/cpu.shares", str(limits.cpu_shares)))
    if limits.pids is not None and "pids" in controllers:
        found.append((f"{directory}/pids.max", "max" if limits.pids < 0 else str(limits.pids)))
    if limits.cpuset_cpus is not None and "cpuset" in controllers:
        found.append((f"{directory}/cpuset.cpus", limits.cpuset_cpus))
    return found
