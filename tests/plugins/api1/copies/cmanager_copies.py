"""Storage copies: a whole tree for each container, volumes, and what a container changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import field, frozen
from attrs.validators import gt

from cmanager import hookimpl
from cmanager.errors import HostError, NotFoundError
from cmanager.linux.layers import Bounds, Store
from cmanager.linux.layers.chains import Chains
from cmanager.linux.layers.compare import Comparison, Plain, Whole
from cmanager.linux.volumes.store import VolumeStore
from cmanager.model import Change, Context, Layer, Mount, Provider, Volume


@frozen
class Options:
    """max_layer_bytes: int, the largest layer that is unpacked, uncompressed."""

    max_layer_bytes: int = field(default=10 << 30, validator=gt(0))


class Copies:
    def __init__(self, directory: str, bounds: Bounds) -> None:
        self._chains = Chains(Store(directory), _copy, bounds)
        self._volumes = VolumeStore(directory)

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
        rootfs = self._chains.rootfs(id)
        if not os.path.isdir(rootfs):
            raise NotFoundError(f"storage copies has nothing of container {id[:12]}")
        plain = Plain(self._chains.tree(layers))
        try:
            yield Comparison(rootfs, Whole(), plain, user_map, mountpoints)
        finally:
            plain.close()


def _copy(source: str, target: str, lock: int) -> None:
    command = ["cp", "-a", "-T", "--reflink=auto", "--", source, target]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, pass_fds=(lock,), check=False)
    if done.returncode:
        raise HostError("copy a root file system to", target, 5)


def _copies(context: Context, options: Options) -> Copies:
    return Copies(context.state_dir, Bounds(size=options.max_layer_bytes))


@hookimpl
def cmanager_storages() -> list[Provider]:
    return [Provider("copies", _copies, options=Options)]
