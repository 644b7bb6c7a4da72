"""Limiter gauge: limits of memory, processes and devices; no other, and says so."""

from __future__ import annotations

from attrs import frozen

from cmanager import hookimpl
from cmanager.errors import UnsupportedError
from cmanager.linux.cgroupfs import files
from cmanager.linux.cgroupfs.tree import Tree, parent_for
from cmanager.model import Cgroup, Context, Limits, Provider, Usage
from cmanager.model.limits import check_ranges


@frozen
class Options:
    """parent: str, such as "/gauge"; "" for one that belongs to the state directory."""

    parent: str = ""


class Gauge:
    def __init__(self, parent: str) -> None:
        self._tree = Tree(parent)

    def check(self, limits: Limits) -> None:
        check_ranges(limits)
        for name in limits.given():
            if name not in ("memory", "pids", "devices"):
                raise UnsupportedError(f"limiter gauge has no control of {name}")
            self._tree.need(f"a limit of {name}", name)

    def create(self, id: str, limits: Limits) -> Cgroup:
        self.check(limits)

        def apply() -> None:
            for file, value in self._writes(id, limits):
                files.write(file, value)
            self._tree.set_devices(id, limits.devices)

        return Cgroup(self._tree.create(id, apply), ("gauge bounds no swap",) if limits.memory else ())

    def update(self, id: str, limits: Limits) -> None:
        self.check(limits)
        self._tree.change(id, self._writes(id, limits))
        self._tree.set_devices(id, limits.devices)

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
        found = []
        if limits.memory is not None:
            hierarchy = self._tree.need("--memory", "memory")
            name = "memory.max" if hierarchy.version == 2 else "memory.limit_in_bytes"
            found.append((f"{hierarchy.path(self._tree.path(id))}/{name}", str(limits.memory)))
        if limits.pids is not None:
            directory = self._tree.need("--pids-limit", "pids").path(self._tree.path(id))
            found.append((f"{directory}/pids.max", "max" if limits.pids == -1 else str(limits.pids)))
        return found


def _gauge(context: Context, options: Options) -> Gauge:
    return Gauge(options.parent or parent_for(context.root, context.name))


@hookimpl
def cmanager_limiters() -> list[Provider]:
    return [Provider("gauge", _gauge, options=Options)]
