"""The storage seam on overlayfs (Documentation/filesystems/overlayfs.rst)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from cmanager.errors import HostError, NotFoundError, UnsupportedError
from cmanager.linux.changes import Change
from cmanager.linux.layers import Bounds, Claim, Store
from cmanager.linux.layers.store import check_id
from cmanager.linux.mounts import Mount, overlay_layers
from cmanager.linux.volumes.store import VolumeStore
from cmanager.model.image import Layer, check_digest
from cmanager.model.volume import Volume

from .missing import Stack, is_opaque

if TYPE_CHECKING:
    from cmanager.linux.layers.compare import Comparison

_LONGEST_OPTION = 255  # fsconfig(2)


class OverlayStorage:
    """Layers by diff id, so that images share what they have in common however they came by it.

    A layer directory holds `fs`, the tree as overlayfs wants it, and `missing.json`, the directories that the layer
    does not describe. A container has `upper` and `work`.
    """

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._volumes = VolumeStore(store.directory)
        self._bounds = bounds

    def prepare(self, id: str, layers: tuple[Layer, ...]) -> tuple[Mount, ...]:
        check_id(id)
        layers = _distinct(layers)
        most = overlay_layers()
        if len(layers) > most:
            raise UnsupportedError(f"{len(layers)} layers are more than overlayfs takes ({most}), use storage vfs")
        keys = tuple(_key(layer) for layer in layers)
        home = self._store.home(id)
        lowers = [f"{self._store.layer(key)}/fs" for key in reversed(keys)] or [f"{home}/lower"]
        upper, work = f"{home}/upper", f"{home}/work"
        longest = max(len(os.fsencode(path)) for path in (*lowers, upper, work))
        if longest > _LONGEST_OPTION:
            raise UnsupportedError(
                f"{self._store.directory} makes mount options of {longest} bytes, overlay takes {_LONGEST_OPTION}: "
                "use a shorter --root"
            )
        self._store.hold(id, keys, partial(self._fill, layers))
        self._unpack(layers)
        options = [f"lowerdir+={path}" for path in _visible(lowers)]
        # Set here what the kernel's configuration may otherwise set differently on each host.
        options += [f"upperdir={upper}", f"workdir={work}", "index=off", "metacopy=off", "redirect_dir=nofollow"]
        return (Mount("overlay", "overlay", "/", (*options, "nodev")),)

    def remove(self, id: str) -> None:
        self._store.release(check_id(id))

    def usage(self, id: str) -> int:
        return self._store.usage(check_id(id))

    def owned(self) -> frozenset[str]:
        return self._store.holders()

    def collect(self, diff_ids: frozenset[str]) -> int:
        return self._store.collect(lambda key: f"sha256:{key}" in diff_ids)

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
        from cmanager.linux.layers.compare import Comparison, Upper  # no start needs it

        upper = f"{self._store.home(check_id(id))}/upper"
        if not os.path.isdir(upper):
            raise NotFoundError(f"storage overlay has nothing of container {id[:12]}")
        stack = Stack([self._store.layer(_key(layer)) for layer in reversed(_distinct(layers))])
        try:
            yield Comparison(upper, Upper(), stack, user_map, mountpoints)
        finally:
            stack.close()

    def _unpack(self, layers: tuple[Layer, ...]) -> None:
        for layer in layers:
            self._store.once(_key(layer), partial(self._layer, layer))

    def _layer(self, layer: Layer, claim: Claim) -> None:
        tree = f"{claim.path}/fs"
        os.mkdir(tree)
        from cmanager.linux.layers import Overlay, unpack  # few starts need them

        style = Overlay()
        unpack(layer.path, layer.media_type, layer.diff_id, tree, style, self._bounds)
        missing = [os.fsdecode(path) for path in sorted(style.missing)]
        with open(f"{claim.path}/missing.json", "w", encoding="ascii") as file:
            json.dump(missing, file)

    def _fill(self, layers: tuple[Layer, ...], claim: Claim) -> None:
        self._unpack(layers)
        for name in ("upper", "work", *(() if layers else ("lower",))):
            os.mkdir(f"{claim.path}/{name}", 0o755)
            os.chmod(f"{claim.path}/{name}", 0o755)
            os.utime(f"{claim.path}/{name}", (0, 0))
        stack = Stack([self._store.layer(_key(layer)) for layer in reversed(layers)])
        try:
            stack.describe(f"{claim.path}/upper")
        finally:
            stack.close()


def _distinct(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Each layer once, where it stands highest: what it says there holds whatever it said further down.

    The kernel refuses one directory twice in a stack (ELOOP).
    """
    last = {layer.diff_id: number for number, layer in enumerate(layers)}
    return tuple(layer for number, layer in enumerate(layers) if last[layer.diff_id] == number)


def _visible(lowers: list[str]) -> list[str]:
    """The directories, topmost first, down to one whose root hides what is below: overlayfs ignores it on a root."""
    for number, path in enumerate(lowers):
        try:
            if is_opaque(path):
                return lowers[: number + 1]
        except OSError as error:
            raise HostError.of("look at layer", path, error) from None
    return lowers


def _key(layer: Layer) -> str:
    return check_digest(layer.diff_id).removeprefix("sha256:")
