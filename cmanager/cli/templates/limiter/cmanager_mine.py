"""Limiter mine: counts, freezes and kills, and limits the number of processes and the use of devices."""

from __future__ import annotations

from cmanager import hookimpl
from cmanager.errors import UnsupportedError
from cmanager.linux.cgroupfs.tree import Tree, parent_for
from cmanager.model import Cgroup, Limits, Provider, Usage
from cmanager.model.limits import check_ranges

_CONTROLLERS = {"pids": "pids", "devices": "devices"}


class MineLimiter:
    """See `cmanager.seams.Limiter`."""

    def __init__(self, parent: str) -> None:
        self._tree = Tree(parent)

    def check(self, limits: Limits) -> None:
        check_ranges(limits)
        for name in limits.given():
            if name not in _CONTROLLERS:
                raise UnsupportedError(f"limiter mine cannot limit {name}, it knows {', '.join(_CONTROLLERS)}")
            self._tree.need(f"a limit of {name}", _CONTROLLERS[name])

    def create(self, id: str, limits: Limits) -> Cgroup:
        self.check(limits)
        return Cgroup(self._tree.create(id, lambda: self._apply(id, limits)))

    def update(self, id: str, limits: Limits) -> None:
        self.check(limits)
        self._apply(id, limits)

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

    def _apply(self, id: str, limits: Limits) -> None:
        if limits.pids is not None:
            file = f"{self._tree.need('--pids-limit', 'pids').path(self._tree.path(id))}/pids.max"
            self._tree.change(id, [(file, "max" if limits.pids < 0 else str(limits.pids))])
        self._tree.set_devices(id, limits.devices)


@hookimpl
def cmanager_limiters() -> list[Provider]:
    """One provider, `mine`."""
    return [Provider("mine", lambda context, options: MineLimiter(parent_for(context.root, "mine")))]
