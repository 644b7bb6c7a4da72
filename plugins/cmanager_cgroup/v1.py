"""Limits as files of cgroup v1. Documents are below the kernel's Documentation/."""

from __future__ import annotations

from cmanager.linux.cgroupfs import files
from cmanager.model import Limits

from .tables import Row, on_device, plain
from .tables import writes as from_table

_MEMORY = "admin-guide/cgroup-v1/memory.rst, 4 User Interface"
_TIME = "scheduler/sched-bwc.rst, Management"
_CPUSET = "admin-guide/cgroup-v1/cpusets.rst, 2 Usage Examples and Syntax"
_THROTTLE = "admin-guide/cgroup-v1/blkio-controller.rst, Throttling/Upper limit policy"
_WEIGHT = "block/bfq-iosched.rst, 4 BFQ group scheduling"
_HUGE = "admin-guide/cgroup-v1/hugetlb.rst"

_THROTTLED = on_device(str)
_WEIGHED = on_device(lambda weight: str(weight or "default"))

TABLE = (
    Row("memory", "memory", ("memory.limit_in_bytes",), plain, _MEMORY),
    Row("memory_swap", "memory", ("memory.memsw.limit_in_bytes",), plain, f"{_MEMORY}; 2.4 Swap Extension"),
    Row("memory_reservation", "memory", ("memory.soft_limit_in_bytes",), plain, f"{_MEMORY}; 7 Soft limits"),
    Row("memory_swappiness", "memory", ("memory.swappiness",), plain, f"{_MEMORY}; 5.3 swappiness"),
    Row(
        "oom_kill_disable", "memory", ("memory.oom_control",), lambda on, _: str(int(on)), f"{_MEMORY}; 10 OOM Control"
    ),
    Row("cpu_period", "cpu", ("cpu.cfs_period_us",), plain, _TIME),
    Row("cpu_quota", "cpu", ("cpu.cfs_quota_us",), plain, _TIME),
    Row("cpu_burst", "cpu", ("cpu.cfs_burst_us",), plain, _TIME),
    Row("cpu_shares", "cpu", ("cpu.shares",), plain, "scheduler/sched-design-CFS.rst, 7 Group scheduler extensions"),
    Row("cpuset_cpus", "cpuset", ("cpuset.cpus",), plain, _CPUSET),
    Row("cpuset_mems", "cpuset", ("cpuset.mems",), plain, _CPUSET),
    Row(
        "pids",
        "pids",
        ("pids.max",),
        lambda most, _: "max" if most < 0 else str(most),
        "admin-guide/cgroup-v1/pids.rst",
    ),
    Row("blkio_weight", "blkio", ("blkio.bfq.weight", "blkio.weight"), plain, _WEIGHT),
    Row("blkio_weight_device", "blkio", ("blkio.bfq.weight_device", "blkio.weight_device"), _WEIGHED, _WEIGHT),
    Row("device_read_bps", "blkio", ("blkio.throttle.read_bps_device",), _THROTTLED, _THROTTLE),
    Row("device_write_bps", "blkio", ("blkio.throttle.write_bps_device",), _THROTTLED, _THROTTLE),
    Row("device_read_iops", "blkio", ("blkio.throttle.read_iops_device",), _THROTTLED, _THROTTLE),
    Row("device_write_iops", "blkio", ("blkio.throttle.write_iops_device",), _THROTTLED, _THROTTLE),
    Row("hugetlb", "hugetlb", ("hugetlb.{size}.limit_in_bytes",), lambda page, _: str(page.limit), _HUGE),
    Row("hugetlb", "hugetlb", ("hugetlb.{size}.rsvd.limit_in_bytes",), lambda page, _: str(page.limit), _HUGE),
)


def writes(directory: str, limits: Limits, controllers: tuple[str, ...]) -> list[tuple[str, str]]:
    """(file, value) for the limits that these controllers apply, in the order that the kernel wants.

    limits: settled (`tables.settled`).
    """
    found = from_table(directory, limits, TABLE, controllers)
    memory, swap = f"{directory}/memory.limit_in_bytes", f"{directory}/memory.memsw.limit_in_bytes"
    names = [file for file, _ in found]
    if memory in names and swap in names:
        current = files.read_or(swap, "")
        if current.isdigit() and int(current) < (limits.memory or 0):
            # Memory may at no time be above memory and swap together (memory.rst, 2.4).
            first, second = names.index(memory), names.index(swap)
            found[first], found[second] = found[second], found[first]
    burst = f"{directory}/cpu.cfs_burst_us"
    if f"{directory}/cpu.cfs_quota_us" in names and files.read_or(burst, "0") != "0":
        found.insert(0, (burst, "0"))  # what is saved up may at no time be above the quota (sched-bwc.rst)
    return found
