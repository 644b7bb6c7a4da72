"""The storage seam with plain copies: each chain of layers is a whole tree, and each container has a copy of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cmanager.errors import NotFoundError
from cmanager.linux.changes import Change
from cmanager.linux.layers import Bounds, Store
from cmanager.linux.layers.chains import Chains
from cmanager.linux.layers.copying import copy_tree
from cmanager.linux.mounts import Mount
from cmanager.linux.volumes.store import VolumeStore
from cmanager.model.image import Layer
from cmanager.model.volume import Volume

if TYPE_CHECKING:
    from cmanager.linux.layers.compare import Comparison


class VfsStorage:
    """Blocks are shared where the file system can: otherwise there is one tree per chain and one per container."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._chains = Chains(store, copy_tree, bounds)
        self._volumes = VolumeStore(store.directory)

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

    def create_volume(self, name: str, labels: dict[str, str], *, anonymous: bool = False) -> Volume:
        return self._volumes.create(name, labels, anonymous=anonymous)

    def volumes(self) -> tuple[Volume, ...]:
        return self._volumes.list()

    def volume(self, name: str) -> Volume:
        return self._volumes.find(name)

    def remove_volume(self, name: str) -> None:
        self._volumes.remove(name)

    def volume_usage(self, name: str) -> int:
        return self._volumes.usage(name)

    def changes(
        self, id: str, layers: tuple[Layer, ...], user_map: tuple[int, int] | None, mountpoints: frozenset[str]
    ) -> tuple[Change, ...]:
        """See `cmanager.seams.storage.Commit`; as in Docker, a file with another content and the same size and time
        goes unnoticed."""
        with self._comparison(id, layers, user_map, mountpoints) as comparison:
            return comparison.changes()

    def layer(
        self,
        id: str,
        layers: tuple[Layer, ...],
        user_map: tuple[int, int] | None,
        mountpoints: frozenset[str],
        out: int,
    ) -> None:
        with self._comparison(id, layers, user_map, mountpoints) as comparison:
            comparison.layer(out)

    @contextmanager
    def _comparison(
        self, id: str, layers: tuple[Layer, ...], user_map: tuple[int, int] | None, mountpoints: frozenset[str]
    ) -> Iterator[Comparison]:
        from cmanager.linux.layers.compare import Comparison, Plain, Whole  # no start needs it

        rootfs = self._chains.rootfs(id)
        if not os.path.isdir(rootfs):
            raise NotFoundError(f"storage vfs has nothing of container {id[:12]}")
        plain = Plain(self._chains.tree(layers))
        try:
            yield Comparison(rootfs, Whole(), plain, user_map, mountpoints)
        finally:
            plain.close()
