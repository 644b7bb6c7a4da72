"""Limiter valve: memory, processor time, processes, devices, and how fast a disk is read; no other, and says so."""

from __future__ import annotations

import os
import stat

from attrs import frozen

from cmanager import hookimpl
from cmanager.errors import HostError, InvalidError, UnsupportedError
from cmanager.linux.cgroupfs import files
from cmanager.linux.cgroupfs.tree import Tree, parent_for
from cmanager.model import Cgroup, Context, Limits, Provider, Usage
from cmanager.model.limits import FIRST, check_ranges

_PERIOD = 100_000
#: Limits by the controller that they need, by v1's name.
_NEEDS = {
    "memory": "memory",
    "pids": "pids",
    "cpus": "cpu",
    "cpu_period": "cpu",
    "cpu_quota": "cpu",
    "device_read_bps": "blkio",
    "devices": "devices",
}


@frozen
class Options:
    """parent: str, such as "/valve"; "" for one that belongs to the state directory."""

    parent: str = ""


class Valve:
    #: Those that every limiter knows, some of which it refuses, and some more.
    limits = (*FIRST, "cpu_period", "cpu_quota", "device_read_bps")

    def __init__(self, parent: str) -> None:
        self._tree = Tree(parent)

    def check(self, limits: Limits) -> None:
        check_ranges(limits)
        for name in limits.given():
            if name not in _NEEDS:
                raise UnsupportedError(f"limiter valve has no control of {name}")
            if name != "device_read_bps" or not self._tree.of("io"):
                self._tree.need(f"a limit of {name}", _NEEDS[name])
        for entry in limits.device_read_bps:
            _numbers(entry.path)

    def create(self, id: str, limits: Limits) -> Cgroup:
        self.check(limits)

        def apply() -> None:
            for file, value in self._writes(id, limits):
                files.write(file, value)
            self._tree.set_devices(id, limits.devices)

        return Cgroup(self._tree.create(id, apply), ("valve bounds no swap",) if limits.memory else ())

    def update(self, id: str, limits: Limits) -> None:
        self.check(limits)
        self._tree.change(id, self._writes(id, limits), limits.devices)

    def usage(self, id: str) -> Usage:
        return Usage(**self._tree.usage(id))

    def freeze(self, id: str, frozen: bool) -> None:
        self._tree.freeze(id, frozen)

    def kill(self, id: str) -> None:
        self._tree.kill(id)

    def remove(self, id: str) -> None:
        self._tree.remove(id)

    def owned(self) -> frozenset[str]:
        return self._tree.owned()

    def _writes(self, id: str, limits: Limits) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []

        def write(controller: str, first: dict[str, str], second: dict[str, str]) -> None:
            """Files by name, of v1 and of v2."""
            hierarchy = (controller == "blkio" and self._tree.of("io")) or self._tree.need("a limit", controller)
            directory = hierarchy.path(self._tree.path(id))
            found.extend((f"{directory}/{file}", text) for file, text in (first, second)[hierarchy.version - 1].items())

        if limits.memory is not None:
            write("memory", {"memory.limit_in_bytes": str(limits.memory)}, {"memory.max": str(limits.memory)})
        if limits.pids is not None:
            most = {"pids.max": "max" if limits.pids == -1 else str(limits.pids)}
            write("pids", most, most)
        period, quota = limits.cpu_period or _PERIOD, limits.cpu_quota
        if limits.cpus is not None:
            quota = round(limits.cpus * period)
        if quota is not None or limits.cpu_period is not None:
            quota = -1 if quota is None else quota
            first = {"cpu.cfs_period_us": str(period), "cpu.cfs_quota_us": str(quota)}
            write("cpu", first, {"cpu.max": f"{'max' if quota < 0 else quota} {period}"})
        for entry in limits.device_read_bps:
            disk = _numbers(entry.path)
            first = {"blkio.throttle.read_bps_device": f"{disk} {entry.value}"}
            write("blkio", first, {"io.max": f"{disk} rbps={entry.value or 'max'}"})
        return found


def _numbers(path: str) -> str:
    try:
        info = os.stat(path)
    except OSError as error:
        raise HostError.of("use device", path, error) from None
    if not stat.S_ISBLK(info.st_mode):
        raise InvalidError(f"{path} is not a block device")
    return f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"


def _valve(context: Context, options: Options) -> Valve:
    return Valve(options.parent or parent_for(context.root, context.name))


@hookimpl
def cmanager_limiters() -> list[Provider]:
    return [Provider("valve", _valve, options=Options)]
