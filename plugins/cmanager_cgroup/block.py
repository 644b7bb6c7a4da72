"""Block devices as limits name them, and who of them honours weights (sysfs-block, bfq-iosched.rst, cgroup-v2.rst)."""

from __future__ import annotations

import os
import stat

from cmanager.errors import HostError, InvalidError, UnsupportedError
from cmanager.linux.cgroupfs import files

_BLOCK = "/sys/block"


def numbers(path: str) -> str:
    """ "MAJOR:MINOR" of a disk; InvalidError for what is none, HostError where there is nothing."""
    try:
        info = os.stat(path)
    except OSError as error:
        raise HostError.of("use device", path, error) from None
    if not stat.S_ISBLK(info.st_mode):
        raise InvalidError(f"{path} is not a block device")
    found = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    place = f"/sys/dev/block/{found}"
    if os.path.exists(f"{place}/partition"):
        # blkg_conf_open_bdev: the kernel limits whole disks.
        disk = os.path.basename(os.path.dirname(os.path.realpath(place)))
        raise InvalidError(f"{path} is a partition, limits are for whole disks: give /dev/{disk}")
    return found


def scheduler(path: str) -> str:
    """The I/O scheduler of a disk, such as "bfq" or "none"; "none" too where the driver takes no other."""
    return _scheduler(f"/sys/dev/block/{numbers(path)}")


def check_weighted(path: str, costs: str) -> None:
    """UnsupportedError, naming the scheduler, for a disk on which weights mean nothing.

    costs: io.cost.qos at the top of cgroup v2, "" where there is none.
    """
    number, found = numbers(path), scheduler(path)
    if found != "bfq" and not _costed(number, costs):
        place = os.path.basename(os.path.realpath(f"/sys/dev/block/{number}"))
        raise UnsupportedError(
            f"--blkio-weight-device {path}: its I/O scheduler {found!r} honours no weights, "
            f"write bfq to {_BLOCK}/{place}/queue/scheduler"
        )


def check_any_weighted(costs: str) -> None:
    """The same for all disks together: one at least must honour weights."""
    found = _disks(costs)
    if not any(weighted for _, _, weighted in found):
        told = ", ".join(f"{name} has {how}" for name, how, _ in found[:4]) or "there is no disk"
        raise UnsupportedError(
            f"--blkio-weight: no I/O scheduler of this host honours weights ({told}), "
            f"write bfq to {_BLOCK}/DISK/queue/scheduler"
        )


def unweighted(costs: str) -> str:
    """The disks on which a weight means nothing, in words; "" for none."""
    return ", ".join(f"{name} ({how})" for name, how, weighted in _disks(costs) if not weighted)


def _disks(costs: str) -> list[tuple[str, str, bool]]:
    """(name, scheduler, whether it honours weights) of every disk that has something on it."""
    found = []
    for name in sorted(os.listdir(_BLOCK)):
        if files.read_or(f"{_BLOCK}/{name}/size", "0") != "0":
            how = _scheduler(f"{_BLOCK}/{name}")
            found.append((name, how, how == "bfq" or _costed(files.read_or(f"{_BLOCK}/{name}/dev", ""), costs)))
    return found


def _scheduler(place: str) -> str:
    text = files.read_or(f"{place}/queue/scheduler", "none")
    return text.partition("[")[2].partition("]")[0] or text


def _costed(number: str, costs: str) -> bool:
    """Whether the cost model of io.weight is on for a disk (cgroup-v2.rst, io.cost.qos)."""
    return any(line.startswith(f"{number} enable=1") for line in costs.splitlines())
