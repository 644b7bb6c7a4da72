"""Limits as files of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from cmanager.linux.cgroupfs import files
from cmanager.model import Limits

_PERIOD = 100_000  # microseconds


def writes(directory: str, limits: Limits, controllers: tuple[str, ...]) -> list[tuple[str, str]]:
    """(file, value) for the limits that these controllers apply, in order."""
    found = []
    if limits.memory is not None and "memory" in controllers:
        found.append((f"{directory}/memory.max", str(limits.memory)))
        if files.read_or(f"{directory}/memory.swap.max", ""):
            # As much again, which is what v1's sum of both comes to.
            found.append((f"{directory}/memory.swap.max", str(limits.memory)))
    if "cpu" in controllers:
        if limits.cpus is not None:
            found.append((f"{directory}/cpu.max", f"{round(limits.cpus * _PERIOD)} {_PERIOD}"))
        if limits.cpu_shares is not None:
            found.append((f"{directory}/cpu.weight", str(weight(limits.cpu_shares))))
    if limits.pids is not None and "pids" in controllers:
        found.append((f"{directory}/pids.max", "max" if limits.pids < 0 else str(limits.pids)))
    if limits.cpuset_cpus is not None and "cpuset" in controllers:
        found.append((f"{directory}/cpuset.cpus", limits.cpuset_cpus))
    return found


def weight(shares: int) -> int:
    """Shares as a weight, both defaults (1024 and 100) meaning the same, so that ratios stay what they were."""
    return max(1, min(10000, round(shares * 100 / 1024)))
