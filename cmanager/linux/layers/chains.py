"""Root file systems as whole trees: each chain of layers is one, and each holder has one made of it.

What storage providers have in common that copy or snapshot trees; they differ in how a tree begins.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ...errors import InvalidError
from ..values import frozen
from .bounds import Bounds
from .staging import Claim
from .store import Store, check_id
from .unpacking import unpack
from .whiteouts import Apply

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RECORD = "diff-ids.json"

#: Called as start(source, target, lock): make the directory `target` a tree that equals `source` and can change
#: without it. lock: a descriptor for programs to keep open, so that a lock is held as long as they write. Raises
#: CmanagerError or OSError; what is at `target` then is removed by the caller.
Start = Callable[[str, str, int], None]


class Packed(Protocol):
    """What is needed of a `cmanager.model.Layer`."""

    @property
    def diff_id(self) -> str: ...

    @property
    def media_type(self) -> str: ...

    @property
    def path(self) -> str: ...


@frozen
class _Chain:
    """A layer on top of others. key: hex digits of its chain id; below: key of the chain under it, "" for none."""

    key: str
    below: str
    layer: Packed
    diff_ids: tuple[str, ...]


class Chains:
    """Trees by chain id (OCI image-spec config.md, "Layer ChainID") in a `Store`, and one tree for each holder.

    A layer directory holds `fs`, the whole tree, and `diff-ids.json`, what it is made of. A holder has `rootfs`. Its
    methods do what those of `cmanager.seams.Storage` promise, but for the mount.
    """

    def __init__(self, store: Store, start: Start, bounds: Bounds | None = None) -> None:
        self._store, self._start, self._bounds = store, start, bounds or Bounds()

    def prepare(self, id: str, layers: tuple[Packed, ...]) -> str:
        """The directory with the root file system of `id`, made of these layers on the first call."""
        chains = _chains(layers)
        keys = tuple(chain.key for chain in chains)
        self._store.hold(check_id(id), keys, partial(self._fill, chains))
        return self.rootfs(id)

    def rootfs(self, id: str) -> str:
        """Where `prepare` puts it."""
        return f"{self._store.home(check_id(id))}/rootfs"

    def tree(self, layers: tuple[Packed, ...]) -> str | None:
        """The tree that holders of these layers began with, None for no layers."""
        return f"{self._store.layer(_chains(layers)[-1].key)}/fs" if layers else None

    def remove(self, id: str) -> None:
        """Remove what `prepare` made for `id`; what is gone is gone."""
        self._store.release(check_id(id))

    def usage(self, id: str) -> int:
        """Bytes that holder `id` has on disk, 0 when there is none."""
        return self._store.usage(check_id(id))

    def owned(self) -> frozenset[str]:
        """Ids of all holders."""
        return self._store.holders()

    def collect(self, diff_ids: frozenset[str]) -> int:
        """Remove trees that need other layers than `diff_ids` and have no holder; bytes freed."""

        def wanted(key: str) -> bool:
            try:
                with open(f"{self._store.layer(key)}/{_RECORD}", encoding="ascii") as file:
                    return diff_ids.issuperset(json.load(file))
            except (OSError, ValueError, TypeError):
                return False

        return self._store.collect(wanted)

    def _fill(self, chains: tuple[_Chain, ...], claim: Claim) -> None:
        for chain in chains:
            self._store.once(chain.key, partial(self._layer, chain))
        self._begin(chains[-1].key if chains else "", f"{claim.path}/rootfs", claim)

    def _layer(self, chain: _Chain, claim: Claim) -> None:
        tree = f"{claim.path}/fs"
        self._begin(chain.below, tree, claim)
        unpack(chain.layer.path, chain.layer.media_type, chain.layer.diff_id, tree, Apply(), self._bounds)
        with open(f"{claim.path}/{_RECORD}", "w", encoding="ascii") as file:
            json.dump(chain.diff_ids, file)

    def _begin(self, below: str, tree: str, claim: Claim) -> None:
        """A new tree: one made of a chain, or the root directory of nothing."""
        if below:
            self._start(f"{self._store.layer(below)}/fs", tree, claim.lock)
            return
        os.mkdir(tree)
        os.chmod(tree, 0o755)
        os.utime(tree, (0, 0))


def _chains(layers: tuple[Packed, ...]) -> tuple[_Chain, ...]:
    chains: list[_Chain] = []
    diff_ids: tuple[str, ...] = ()
    below = ""
    for layer in layers:
        if not _DIGEST.fullmatch(layer.diff_id):
            raise InvalidError(f"not a sha256 digest: {layer.diff_id[:100]!r}")
        diff_ids = (*diff_ids, layer.diff_id)
        key = layer.diff_id.removeprefix("sha256:")
        if below:
            key = hashlib.sha256(f"sha256:{below} {layer.diff_id}".encode()).hexdigest()
        chains.append(_Chain(key, below, layer, diff_ids))
        below = key
    return tuple(chains)
