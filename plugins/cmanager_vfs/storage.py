"""The storage seam with plain copies: each chain of layers is a whole tree, and each container has a copy of one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from cmanager.errors import InvalidError, NotFoundError
from cmanager.linux.changes import Change
from cmanager.linux.layers import Apply, Bounds, Claim, Store, unpack
from cmanager.linux.mounts import Mount
from cmanager.linux.volumes.store import VolumeStore
from cmanager.model.image import Layer, check_digest
from cmanager.model.names import ID
from cmanager.model.volume import Volume

from .copy import copy_tree

if TYPE_CHECKING:
    from cmanager.linux.layers.compare import Comparison


@frozen
class _Chain:
    """A layer on top of others. key: hex digits of its chain id; below: key of the chain under it, "" for none."""

    key: str
    below: str
    layer: Layer
    diff_ids: tuple[str, ...]


class VfsStorage:
    """Trees by chain id (OCI image-spec config.md, "Layer ChainID"); blocks are shared where the file system can.

    A layer directory holds `fs`, the whole tree, and `diff-ids.json`, what it is made of. A container has `rootfs`.
    Disk use: one tree per chain and one per container, unless the file system has reflinks (btrfs, xfs).
    """

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._volumes = VolumeStore(store.directory)
        self._bounds = bounds

    def prepare(self, id: str, layers: tuple[Layer, ...]) -> tuple[Mount, ...]:
        chains = _chains(layers)
        keys = tuple(chain.key for chain in chains)
        home = self._store.hold(_check_id(id), keys, partial(self._fill, chains))
        return (Mount("bind", f"{home}/rootfs", "/", ("bind", "nodev")),)

    def remove(self, id: str) -> None:
        self._store.release(_check_id(id))

    def usage(self, id: str) -> int:
        return self._store.usage(_check_id(id))

    def owned(self) -> frozenset[str]:
        return self._store.holders()

    def collect(self, diff_ids: frozenset[str]) -> int:
        def wanted(key: str) -> bool:
            try:
                with open(f"{self._store.layer(key)}/diff-ids.json", encoding="ascii") as file:
                    return diff_ids.issuperset(json.load(file))
            except (OSError, ValueError, TypeError):
                return False

        return self._store.collect(wanted)

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

        rootfs = f"{self._store.home(_check_id(id))}/rootfs"
        if not os.path.isdir(rootfs):
            raise NotFoundError(f"storage vfs has nothing of container {id[:12]}")
        chains = _chains(layers)
        plain = Plain(f"{self._store.layer(chains[-1].key)}/fs" if chains else None)
        try:
            yield Comparison(rootfs, Whole(), plain, user_map, mountpoints)
        finally:
            plain.close()

    def _fill(self, chains: tuple[_Chain, ...], claim: Claim) -> None:
        for chain in chains:
            self._store.once(chain.key, partial(self._layer, chain))
        self._start(chains[-1].key if chains else "", f"{claim.path}/rootfs", claim)

    def _layer(self, chain: _Chain, claim: Claim) -> None:
        tree = f"{claim.path}/fs"
        self._start(chain.below, tree, claim)
        unpack(chain.layer.path, chain.layer.media_type, chain.layer.diff_id, tree, Apply(), self._bounds)
        with open(f"{claim.path}/diff-ids.json", "w", encoding="ascii") as file:
            json.dump(chain.diff_ids, file)

    def _start(self, below: str, tree: str, claim: Claim) -> None:
        """A new tree: a copy of a chain, or the root directory of nothing."""
        if below:
            copy_tree(f"{self._store.layer(below)}/fs", tree, claim.lock)
            return
        os.mkdir(tree)
        os.chmod(tree, 0o755)
        os.utime(tree, (0, 0))


def _chains(layers: tuple[Layer, ...]) -> tuple[_Chain, ...]:
    chains: list[_Chain] = []
    diff_ids: tuple[str, ...] = ()
    below = ""
    for layer in layers:
        diff_id = check_digest(layer.diff_id)
        diff_ids = (*diff_ids, diff_id)
        key = diff_id.removeprefix("sha256:")
        if below:
            key = hashlib.sha256(f"sha256:{below} {diff_id}".encode()).hexdigest()
        chains.append(_Chain(key, below, layer, diff_ids))
        below = key
    return tuple(chains)


def _check_id(id: str) -> str:
    if not ID.fullmatch(id):
        raise InvalidError(f"not a container id: {id[:80]!r}")
    return id
