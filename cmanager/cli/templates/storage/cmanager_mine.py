"""Storage mine: each container has a whole copy of its image."""

from __future__ import annotations

from cmanager import hookimpl
from cmanager.linux.layers import Store
from cmanager.linux.layers.chains import Chains
from cmanager.linux.layers.copying import copy_tree
from cmanager.linux.mounts import Mount
from cmanager.model import Layer, Provider


class MineStorage:
    """See `cmanager.seams.Storage`. A snapshot, say, would stand in the place of copy_tree."""

    def __init__(self, directory: str) -> None:
        self._chains = Chains(Store(directory), copy_tree)

    def prepare(self, id: str, layers: tuple[Layer, ...]) -> tuple[Mount, ...]:
        return (Mount("bind", self._chains.prepare(id, layers), "/", ("bind", "nodev")),)

    def remove(self, id: str) -> None:
        self._chains.remove(id)

    def usage(self, id: str) -> int:
        return self._chains.usage(id)

    def owned(self) -> frozenset[str]:
        return self._chains.owned()

    def collect(self, diff_ids: frozenset[str]) -> int:
        return self._chains.collect(diff_ids)


@hookimpl
def cmanager_storages() -> list[Provider]:
    """One provider, `mine`."""
    return [Provider("mine", lambda context, options: MineStorage(context.state_dir))]
