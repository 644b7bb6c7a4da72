"""The limiter seam on cgroupfs."""

from __future__ import annotations

import os

from cmanager.linux.cgroupfs import files
from cmanager.linux.cgroupfs.tree import Tree
from cmanager.model import Cgroup, Limits, Usage, Watched
from cmanager.model.limits import check_ranges

from . import check, v1, v2


class CgroupLimiter:
    """Every limit that the host's controllers know, in the cgroups of a `Tree` below `parent`."""

    def __init__(self, parent: str) -> None:
        self._tree = Tree(parent)

    def check(self, limits: Limits) -> None:
        """See `cmanager.seams.Limiter.check`."""
        check_ranges(limits)
        for what, controller in check.controllers(limits).items():
            hierarchy = self._tree.need(what, controller)
            if controller == "cpuset":
                name = "cpuset.cpus.effective" if hierarchy.version == 2 else "cpuset.cpus"
                check.within(limits.cpuset_cpus or "", files.read(f"{hierarchy.mountpoint}/{name}"))

    def create(self, id: str, limits: Limits) -> Cgroup:
        """See `cmanager.seams.Limiter.create`."""

        def apply() -> None:
            for file, value in self._writes(id, limits):
                files.write(file, value)
            self._tree.set_devices(id, limits.devices)

        return Cgroup(self._tree.create(id, apply), self._warnings(limits))

    def update(self, id: str, limits: Limits) -> None:
        """See `cmanager.seams.Limiter.update`."""
        self.check(limits)
        self._tree.change(id, self._writes(id, limits))
        self._tree.set_devices(id, limits.devices)

    def usage(self, id: str) -> Usage:
        """See `cmanager.seams.Limiter.usage`."""
        return Usage(**self._tree.usage(id))

    def watched(self, id: str) -> tuple[Watched, ...]:
        """See `cmanager.seams.Watch.watched`."""
        return self._tree.watched(id)

    def freeze(self, id: str, frozen: bool) -> None:
        """See `cmanager.seams.Limiter.freeze`."""
        self._tree.freeze(id, frozen)

    def kill(self, id: str) -> None:
        """See `cmanager.seams.Limiter.kill`."""
        self._tree.kill(id)

    def remove(self, id: str) -> None:
        """See `cmanager.seams.Limiter.remove`."""
        self._tree.remove(id)

    def owned(self) -> frozenset[str]:
        """See `cmanager.seams.Limiter.owned`."""
        return self._tree.owned()

    def _writes(self, id: str, limits: Limits) -> list[tuple[str, str]]:
        """(file, value) for every limit that is given, in the order in which they must be written."""
        found: list[tuple[str, str]] = []
        for hierarchy in self._tree.hierarchies:
            module = v2 if hierarchy.version == 2 else v1
            found += module.writes(hierarchy.path(self._tree.path(id)), limits, hierarchy.controllers)
        return found

    def _warnings(self, limits: Limits) -> tuple[str, ...]:
        memory = self._tree.of("memory")
        if limits.memory is None or memory is None:
            return ()
        swap = "memory.swap.max" if memory.version == 2 else "memory.memsw.limit_in_bytes"
        if os.path.exists(f"{memory.path(self._tree.parent)}/{swap}") or not _host_has_swap():
            return ()
        return ("the kernel does not account for swap: the memory limit does not bound what is swapped out",)


def _host_has_swap() -> bool:
    with open("/proc/swaps", encoding="ascii", errors="replace") as file:
        return len(file.readlines()) > 1
