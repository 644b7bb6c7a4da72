"""Limits in the words of Docker's `inspect`."""

from __future__ import annotations

from typing import Any

from ...model import DeviceLimit, DeviceRule, Limits
from ...oci import defaults


def described(limits: Limits) -> dict[str, Any]:
    """Fields of HostConfig; rules for devices are those beyond the default list."""

    def rates(entries: tuple[DeviceLimit, ...], word: str = "Rate") -> list[dict[str, Any]]:
        return [{"Path": entry.path, word: entry.value} for entry in entries]

    return {
        "CgroupParent": limits.parent,
        "Memory": limits.memory or 0,
        "MemorySwap": limits.memory_swap or (2 * limits.memory if limits.memory else 0),
        "MemoryReservation": limits.memory_reservation or 0,
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "NanoCpus": round((limits.cpus or 0) * 1e9),
        "CpuPeriod": limits.cpu_period or 0,
        "CpuQuota": limits.cpu_quota or 0,
        "CpuBurst": limits.cpu_burst or 0,
        "CpuShares": limits.cpu_shares or 0,
        "CpusetCpus": limits.cpuset_cpus or "",
        "CpusetMems": limits.cpuset_mems or "",
        "PidsLimit": limits.pids,
        "BlkioWeight": limits.blkio_weight or 0,
        "BlkioWeightDevice": rates(limits.blkio_weight_device, "Weight"),
        "BlkioDeviceReadBps": rates(limits.device_read_bps),
        "BlkioDeviceWriteBps": rates(limits.device_write_bps),
        "BlkioDeviceReadIOps": rates(limits.device_read_iops),
        "BlkioDeviceWriteIOps": rates(limits.device_write_iops),
        "HugepageLimits": [{"PageSize": page.size, "Limit": page.limit} for page in limits.hugetlb],
        "DeviceCgroupRules": [_rule(rule) for rule in limits.devices if rule not in defaults.DEFAULT_DEVICE_RULES],
    }


def _rule(rule: DeviceRule) -> str:
    major, minor = ("*" if number is None else number for number in (rule.major, rule.minor))
    return f"{rule.type} {major}:{minor} {rule.access}"
