"""Limits as files of cgroup v2. Documents are below the kernel's Documentation/."""

from __future__ import annotations

from cmanager.linux.cgroupfs import files
from cmanager.model import DeviceLimit, Limits
from cmanager.model.limits import CPU_PERIOD

from . import block
from .tables import Row, Text, on_device, plain
from .tables import writes as from_table

_CPU = "admin-guide/cgroup-v2.rst, CPU Interface Files"
_MEMORY = "admin-guide/cgroup-v2.rst, Memory Interface Files"
_IO = "admin-guide/cgroup-v2.rst, IO Interface Files"
_BFQ = "block/bfq-iosched.rst, 4 BFQ group scheduling"
_CPUSET = "admin-guide/cgroup-v2.rst, Cpuset Interface Files"
_HUGE = "admin-guide/cgroup-v2.rst, HugeTLB Interface Files"


def _swap(both: int, limits: Limits) -> str:
    """memory.swap.max is swap alone."""
    return "max" if both < 0 else str(both - (limits.memory or 0))


def _time(quota: int, limits: Limits) -> str:
    return f"{'max' if quota < 0 else quota} {limits.cpu_period or CPU_PERIOD}"


def _period(period: int, limits: Limits) -> str:
    """A period without a quota; with one, both are in one line already."""
    return f"max {period}" if limits.cpu_quota is None else ""


def weight(shares: int) -> int:
    """OCI's mapping: 2 to 262144 shares onto 1 to 10000 (docs/decisions/cpu-shares-on-v2.md)."""
    return 1 + (shares - 2) * 9999 // 262142


def io_weight(weight: int, limits: Limits) -> str:
    """OCI's mapping for who is no bfq: 10 to 1000 onto 1 to 10000."""
    return str(1 + (weight - 10) * 9999 // 990)


def _bfq_weight(entry: DeviceLimit, limits: Limits) -> str:
    write = on_device(lambda number: str(number or "default"))
    return write(entry, limits) if block.scheduler(entry.path) == "bfq" else ""


def _cost_weight(entry: DeviceLimit, limits: Limits) -> str:
    write = on_device(lambda number: io_weight(number, limits) if number else "default")
    return write(entry, limits) if block.scheduler(entry.path) != "bfq" else ""


def _most(key: str) -> Text:
    return on_device(lambda value: f"{key}={value or 'max'}")


TABLE = (
    Row("memory", "memory", ("memory.max",), plain, _MEMORY),
    Row("memory_swap", "memory", ("memory.swap.max",), _swap, _MEMORY),
    Row("memory_reservation", "memory", ("memory.low",), plain, _MEMORY),
    Row("cpu_period", "cpu", ("cpu.max",), _period, _CPU),
    Row("cpu_quota", "cpu", ("cpu.max",), _time, _CPU),
    Row("cpu_burst", "cpu", ("cpu.max.burst",), plain, _CPU),
    Row("cpu_shares", "cpu", ("cpu.weight",), lambda shares, _: str(weight(shares)), _CPU),
    Row("cpuset_cpus", "cpuset", ("cpuset.cpus",), plain, _CPUSET),
    Row("cpuset_mems", "cpuset", ("cpuset.mems",), plain, _CPUSET),
    Row(
        "pids",
        "pids",
        ("pids.max",),
        lambda most, _: "max" if most < 0 else str(most),
        "admin-guide/cgroup-v2.rst, PID Interface Files",
    ),
    Row("blkio_weight", "io", ("io.bfq.weight",), plain, _BFQ),
    Row("blkio_weight", "io", ("io.weight",), io_weight, _IO),
    Row("blkio_weight_device", "io", ("io.bfq.weight",), _bfq_weight, _BFQ),
    Row("blkio_weight_device", "io", ("io.weight",), _cost_weight, _IO),
    Row("device_read_bps", "io", ("io.max",), _most("rbps"), _IO),
    Row("device_write_bps", "io", ("io.max",), _most("wbps"), _IO),
    Row("device_read_iops", "io", ("io.max",), _most("riops"), _IO),
    Row("device_write_iops", "io", ("io.max",), _most("wiops"), _IO),
    Row("hugetlb", "hugetlb", ("hugetlb.{size}.max",), lambda page, _: str(page.limit), _HUGE),
    Row("hugetlb", "hugetlb", ("hugetlb.{size}.rsvd.max",), lambda page, _: str(page.limit), _HUGE),
)


def writes(directory: str, limits: Limits, controllers: tuple[str, ...]) -> list[tuple[str, str]]:
    """(file, value) for the limits that these controllers apply, in the order that the kernel wants.

    limits: settled (`tables.settled`).
    """
    found = from_table(directory, limits, TABLE, controllers)
    burst = f"{directory}/cpu.max.burst"
    if f"{directory}/cpu.max" in (file for file, _ in found) and files.read_or(burst, "0") != "0":
        found.insert(0, (burst, "0"))  # what is saved up may at no time be above the quota
    return found
