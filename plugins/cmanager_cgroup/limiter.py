"""The limiter seam on cgroupfs."""

from __future__ import annotations

from attrs import fields

from cmanager.errors import InvalidError
from cmanager.linux.cgroupfs import files
from cmanager.linux.cgroupfs.tree import Tree
from cmanager.model import Cgroup, Limits, Usage, Watched
from cmanager.model.limits import check_ranges

from . import check, tables, v1, v2


class CgroupLimiter:
    """Every limit that the host's controllers know, in the cgroups of a `Tree` below `parent`."""

    limits = tuple(f.name for f in fields(Limits))

    def __init__(self, parent: str, places: str = "") -> None:
        self._tree = Tree(parent, places)

    def check(self, limits: Limits) -> None:
        """See `cmanager.seams.Limiter.check`."""
        check_ranges(limits)
        check.check(self._tree, limits)

    def create(self, id: str, limits: Limits) -> Cgroup:
        """See `cmanager.seams.Limiter.create`."""

        def apply() -> None:
            for file, value in self._writes(id, limits):
                files.write(file, value)
            self._tree.set_devices(id, limits.devices)

        return Cgroup(self._tree.create(id, apply, limits.parent), check.warnings(self._tree, limits))

    def update(self, id: str, limits: Limits) -> None:
        """See `cmanager.seams.Limiter.update`."""
        self.check(limits)
        if limits.parent:
            raise InvalidError("a container stays below the cgroup where it was made, leave out --cgroup-parent")
        self._tree.change(id, self._writes(id, limits), limits.devices)

    def usage(self, id: str) -> Usage:
        """See `cmanager.seams.Limiter.usage`."""
        return Usage(**self._tree.usage(id))

    def cpu_seconds(self, id: str) -> float | None:
        """See `cmanager.seams.Clock.cpu_seconds`."""
        return self._tree.cpu_seconds(id)

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
        path, found = self._tree.path(id), []
        for hierarchy in self._tree.hierarchies:
            module = v2 if hierarchy.version == 2 else v1
            found += module.writes(hierarchy.path(path), tables.settled(limits), hierarchy.controllers)
        return found
