"""Resource limits."""

from __future__ import annotations

import os
import re

from attrs import evolve, field, fields

from ..errors import InvalidError
from ..linux.cgroupfs.rules import DeviceRule
from ..linux.values import frozen

__all__ = [
    "CPU_PERIOD",
    "FIRST",
    "Cgroup",
    "DeviceLimit",
    "DeviceRule",
    "HugetlbLimit",
    "Limits",
    "check_ranges",
    "flag",
    "laid_over",
    "processors",
]

#: What the kernel needs to run a process at all; Docker's bound.
_LEAST_MEMORY = 6 << 20
#: Microseconds in which `cpus` are counted: the kernel's default period.
CPU_PERIOD = 100_000
_POSSIBLE = "/sys/devices/system/cpu/possible"
_NODES = "/sys/devices/system/node/possible"
_PARENT = re.compile(r"/?[A-Za-z0-9_][A-Za-z0-9_.:@-]*(/[A-Za-z0-9_][A-Za-z0-9_.:@-]*)*")

#: Fields of `Limits` that every limiter knows; others go only to one that is a `cmanager.seams.Cover` and names them.
FIRST = ("memory", "cpus", "cpu_shares", "pids", "cpuset_cpus", "devices")
#: Fields that mean something together: when one is changed, all of them are told.
_TOGETHER = (
    ("memory", "memory_swap", "memory_reservation"),
    ("cpus", "cpu_period", "cpu_quota", "cpu_burst"),
)


@frozen
class DeviceLimit:
    """A number for one block device. path: str, its node on the host; value: int, 0 lifts the limit again."""

    path: str
    value: int

    def __str__(self) -> str:
        return f"{self.path}:{self.value}"


@frozen
class HugetlbLimit:
    """Huge pages of one size. size: str as in the kernel's file names, such as "2MB" or "1GB"; limit: bytes."""

    size: str
    limit: int

    def __str__(self) -> str:
        return f"{self.size}:{self.limit}"


@frozen
class Limits:
    """What a cgroup may use; None, or an empty tuple, leaves the kernel's default.

    memory: bytes; memory_swap: bytes of memory and swap together, -1 for no limit, None for twice `memory`;
    memory_reservation: bytes that it keeps under pressure; memory_swappiness: 0 to 100; oom_kill_disable: whether a
    process that wants too much waits rather than dies; cpus: number of CPUs' worth of time per second, or instead
    cpu_quota: microseconds in each cpu_period of microseconds, -1 for no limit; cpu_burst: microseconds that may be
    saved up; cpu_shares: Docker's relative weight, 2 to 262144; cpuset_cpus, cpuset_mems: lists such as "0-1,3"; pids:
    processes and threads, -1 for no limit; blkio_weight: 10 to 1000, blkio_weight_device: the same on one device;
    device_read_bps, device_write_bps: bytes a second; device_read_iops, device_write_iops: operations a second;
    hugetlb: huge pages; devices: rules in order, the last that matches wins, empty for no device control; parent: the
    cgroup below which it is to lie, such as "/web", "" for the limiter's own; it is never changed.
    """

    memory: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    pids: int | None = None
    cpuset_cpus: str | None = None
    devices: tuple[DeviceRule, ...] = ()
    memory_swap: int | None = None
    memory_reservation: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_burst: int | None = None
    cpuset_mems: str | None = None
    blkio_weight: int | None = None
    blkio_weight_device: tuple[DeviceLimit, ...] = ()
    device_read_bps: tuple[DeviceLimit, ...] = ()
    device_write_bps: tuple[DeviceLimit, ...] = ()
    device_read_iops: tuple[DeviceLimit, ...] = ()
    device_write_iops: tuple[DeviceLimit, ...] = ()
    hugetlb: tuple[HugetlbLimit, ...] = ()
    parent: str = ""

    def given(self) -> dict[str, object]:
        """The limits that are set, by field name."""
        values = {f.name: getattr(self, f.name) for f in fields(Limits)}
        return {name: value for name, value in values.items() if value not in (None, (), "")}


@frozen
class Cgroup:
    """A cgroup of a container.

    path: str like "/cmanager/ID", the same in every hierarchy, which is OCI's cgroupsPath; warnings: lines for the
    user about what was degraded.
    """

    path: str
    warnings: tuple[str, ...] = field(default=())


def flag(name: str) -> str:
    """What a person writes to set a field of `Limits`."""
    special = {"pids": "--pids-limit", "parent": "--cgroup-parent", "devices": "device control"}
    return special.get(name) or f"--{name.replace('_', '-')}"


def laid_over(limits: Limits, change: Limits) -> tuple[Limits, Limits]:
    """(all limits once `change` is made, what of them a limiter must be told).

    Lists change by device and by size of page, new device rules follow the old ones. Where limits mean something
    together, such as memory and swap, all of them are told when one changes.
    """
    # Two spellings of one limit: who changes it by one gives up the other.
    if change.cpus is not None:
        limits = evolve(limits, cpu_period=None, cpu_quota=None)
    elif change.cpu_period is not None or change.cpu_quota is not None:
        limits = evolve(_spelt_out(limits), cpus=None)
    given: dict[str, object] = change.given()
    told = dict(given)
    for name, value in given.items():
        if name == "devices":
            given[name] = told[name] = (*limits.devices, *change.devices)
        elif isinstance(value, tuple):
            given[name] = _merged(getattr(limits, name), value)
    after = evolve(limits, **given)  # type: ignore[arg-type]
    for group in _TOGETHER:
        if any(name in given for name in group):
            told |= {name: getattr(after, name) for name in group}
    return after, Limits(**told)  # type: ignore[arg-type]


def _spelt_out(limits: Limits) -> Limits:
    """With a quota and a period in place of a number of processors."""
    if limits.cpus is None:
        return limits
    return evolve(limits, cpu_period=CPU_PERIOD, cpu_quota=round(limits.cpus * CPU_PERIOD))


def _merged(old: tuple[object, ...], new: tuple[object, ...]) -> tuple[object, ...]:
    keys = {str(entry).rpartition(":")[0] for entry in new}
    return (*(entry for entry in old if str(entry).rpartition(":")[0] not in keys), *new)


def check_ranges(limits: Limits) -> None:
    """InvalidError for a value that no kernel takes, one that contradicts another, or one that is beyond this host's
    processors and nodes of memory."""
    _check_memory(limits)
    _check_time(limits)
    if limits.pids is not None and limits.pids != -1 and not 1 <= limits.pids <= 4194304:
        raise InvalidError(f"invalid --pids-limit {limits.pids}, expected -1 or 1 to 4194304")
    for name, what, path in (("cpuset_cpus", "processor", _POSSIBLE), ("cpuset_mems", "memory node", _NODES)):
        wanted = getattr(limits, name)
        if wanted is not None:
            _check_possible(flag(name), wanted, what, path)
    if limits.blkio_weight is not None and not 10 <= limits.blkio_weight <= 1000:
        raise InvalidError(f"invalid --blkio-weight {limits.blkio_weight}, expected 10 to 1000")
    for entry in limits.blkio_weight_device:
        if entry.value != 0 and not 10 <= entry.value <= 1000:
            raise InvalidError(f"invalid --blkio-weight-device {entry}, expected 10 to 1000, or 0 for the usual one")
    for name in ("device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops"):
        for entry in getattr(limits, name):
            most = 2**32 if name.endswith("iops") else 2**63
            if not 0 <= entry.value < most:
                raise InvalidError(f"invalid {flag(name)} {entry}, expected 0 to {most - 1} a second")
    for page in limits.hugetlb:
        if page.limit < 0:
            raise InvalidError(f"invalid --hugetlb {page}, expected bytes")
    if limits.parent and not _PARENT.fullmatch(limits.parent):
        raise InvalidError(
            f"invalid --cgroup-parent {limits.parent!r}, expected a cgroup such as /web or /web/front, without . and .."
        )


def _check_memory(limits: Limits) -> None:
    memory, swap, kept = limits.memory, limits.memory_swap, limits.memory_reservation
    for name, value in (("--memory", memory), ("--memory-reservation", kept)):
        if value is not None and value < _LEAST_MEMORY:
            raise InvalidError(f"invalid {name} {value}, the least is {_LEAST_MEMORY >> 20}m")
    if swap is not None and swap != -1:
        if memory is None:
            raise InvalidError("--memory-swap is memory and swap together, give --memory too")
        if swap < memory:
            raise InvalidError(
                f"--memory-swap {swap} is memory and swap together, it must not be below --memory {memory}"
            )
    if kept is not None and memory is not None and kept > memory:
        raise InvalidError(f"--memory-reservation {kept} must not be above --memory {memory}")
    if limits.memory_swappiness is not None and not 0 <= limits.memory_swappiness <= 100:
        raise InvalidError(f"invalid --memory-swappiness {limits.memory_swappiness}, expected 0 to 100")


def _check_time(limits: Limits) -> None:
    count = os.cpu_count() or 1
    period, quota, burst = limits.cpu_period, limits.cpu_quota, limits.cpu_burst
    if limits.cpus is not None and not 0.01 <= limits.cpus <= count:
        raise InvalidError(f"invalid --cpus {limits.cpus:g}, expected 0.01 to {count}, which this host has")
    if limits.cpus is not None and (period is not None or quota is not None):
        raise InvalidError("--cpus and --cpu-period or --cpu-quota say the same, give one of them")
    if period is not None and not 1000 <= period <= 1_000_000:
        raise InvalidError(f"invalid --cpu-period {period}, expected 1000 to 1000000 microseconds")
    if quota is not None and quota != -1 and not 1000 <= quota < 2**44:
        raise InvalidError(f"invalid --cpu-quota {quota}, expected -1 or at least 1000 microseconds")
    if burst is not None:
        most = round(limits.cpus * CPU_PERIOD) if limits.cpus is not None else quota
        if burst and (most is None or most < 0):
            raise InvalidError("--cpu-burst saves up what a limit leaves over, give --cpus or --cpu-quota too")
        if burst < 0 or burst > (most or 0):
            raise InvalidError(f"invalid --cpu-burst {burst}, expected 0 to {most}, the quota, in microseconds")
    if limits.cpu_shares is not None and not 2 <= limits.cpu_shares <= 262144:
        raise InvalidError(f"invalid --cpu-shares {limits.cpu_shares}, expected 2 to 262144")


def _check_possible(option: str, wanted: str, what: str, path: str) -> None:
    try:
        with open(path, encoding="ascii") as file:
            possible = file.read().strip()
    except FileNotFoundError:  # a kernel without NUMA has the one node
        possible = "0"
    missing = sorted(processors(wanted, option) - processors(possible))
    if missing:
        raise InvalidError(f"invalid {option} {wanted!r}: no {what} {missing[0]}, this host has {possible}")


def processors(text: str, option: str = "--cpuset-cpus") -> set[int]:
    """The numbers of a list of processors, such as "0-1,3" (cpuset(7)); InvalidError, naming `option`, when it is
    none."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not re.fullmatch(r"\d{1,5}(-\d{1,5})?", part, re.ASCII):
            raise InvalidError(f"invalid {option} {text!r}, expected a list such as 0-1,3")
        end = int(last) if dash else int(first)
        if end < int(first) or end > 8191:
            raise InvalidError(f"invalid {option} {text!r}: {part} is no range")
        found.update(range(int(first), end + 1))
    return found
