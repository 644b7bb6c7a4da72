"""Faults of storage providers, put into `vfs`."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from attrs import evolve

from cmanager.errors import CmanagerError, ConflictError, CorruptError, NotFoundError
from cmanager.linux import files, syscalls
from cmanager.linux.changes import Change
from cmanager.linux.layers import Claim, Store
from cmanager.linux.mounts import Mount
from cmanager.model import Layer, Volume
from cmanager.testing import CommitSuite, StorageSuite, Suite, VolumesSuite
from cmanager_vfs.storage import VfsStorage

from .mutant import Mutant, becoming

Layers = tuple[Layer, ...]
Mounts = tuple[Mount, ...]


class KeepsDescriptor(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        os.open("/", os.O_RDONLY)
        return super().prepare(id, layers)


class MountsItself(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        parts = super().prepare(id, layers)
        syscalls.mount(parts[0].source, parts[0].source, "none", syscalls.MS_BIND)
        return parts


class RemovesOnce(VfsStorage):
    def remove(self, id: str) -> None:
        if id not in self.owned():
            raise NotFoundError(f"nothing is stored for container {id[:12]}")
        super().remove(id)


class StartsAfresh(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        super().remove(id)
        return super().prepare(id, layers)


class BelievesTheDiffId(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        return super().prepare(id, tuple(map(self._believed, layers)))

    def _believed(self, layer: Layer) -> Layer:
        try:
            content = gzip.decompress(Path(layer.path).read_bytes())
        except (OSError, EOFError):
            return layer
        return evolve(layer, diff_id=f"sha256:{hashlib.sha256(content).hexdigest()}")


class InPlace(Store):
    def once(self, key: str, make: Any) -> None:
        with files.locked(f"{self.directory}/one-by-one") as lock:
            if not os.path.isdir(self.layer(key)):
                os.makedirs(self.layer(key))
                make(Claim(self.layer(key), lock))


class InPlaceButTidy(InPlace):
    def once(self, key: str, make: Any) -> None:
        try:
            super().once(key, make)
        except BaseException:
            shutil.rmtree(self.layer(key))
            raise


def stored(kind: type[Store]) -> Any:
    def spoil(storage: Any) -> Any:
        storage._chains._store.__class__ = kind
        return storage

    return spoil


class LeavesTheContainer(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        try:
            return super().prepare(id, layers)
        except CorruptError:
            os.makedirs(self._chains._store.home(id))
            raise


class OwnsOnlyOne(VfsStorage):
    def owned(self) -> frozenset[str]:
        return frozenset(sorted(super().owned())[:1])


class CollectsTheWanted(VfsStorage):
    def collect(self, diff_ids: frozenset[str]) -> int:
        return super().collect(frozenset())


class CollectsNothing(VfsStorage):
    def collect(self, diff_ids: frozenset[str]) -> int:
        return 0


class GivesAFileOfTheHost(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        return (*super().prepare(id, layers), Mount("bind", "/etc/passwd", "/etc/passwd", ("bind",)))


class OneForAll(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        super().prepare(id, layers)
        return super().prepare(min(super().owned()), layers)


class SeesNoUsage(VfsStorage):
    def usage(self, id: str) -> int:
        return 0


class LetsErrorsEscape(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        try:
            return super().prepare(id, layers)
        except CmanagerError:
            for layer in layers:
                Path(layer.path).stat()
            raise


class UpsideDown(VfsStorage):
    def prepare(self, id: str, layers: Layers) -> Mounts:
        return super().prepare(id, layers[::-1])


class SharesVolumes(VfsStorage):
    def create_volume(self, name: str, labels: dict[str, str], *, anonymous: bool = False) -> Volume:
        try:
            return super().create_volume(name, labels, anonymous=anonymous)
        except ConflictError:
            return super().volume(name)


class OpensVolumes(VfsStorage):
    def create_volume(self, name: str, labels: dict[str, str], *, anonymous: bool = False) -> Volume:
        made = super().create_volume(name, labels, anonymous=anonymous)
        place = Path(made.mountpoint)
        while place != Path(self._chains._store.directory).parent:
            place.chmod(0o755)
            place = place.parent
        return made


class TellsMountPoints(VfsStorage):
    def changes(self, id: str, layers: Layers, user_map: Any, mountpoints: frozenset[str]) -> tuple[Change, ...]:
        return super().changes(id, layers, user_map, frozenset())


class ForgetsDeletions(VfsStorage):
    def changes(self, id: str, layers: Layers, user_map: Any, mountpoints: frozenset[str]) -> tuple[Change, ...]:
        return tuple(c for c in super().changes(id, layers, user_map, mountpoints) if c.kind != "D")


def _mutant(does: str, spoil: Any, suite: type[Suite] = StorageSuite, *, everyday: bool = False) -> Mutant:
    faulty = becoming(spoil) if issubclass(spoil, VfsStorage) else stored(spoil)
    return Mutant(does, suite, "cmanager_vfs:vfs", faulty, everyday=everyday)


MUTANTS = [
    _mutant("keeps a descriptor of each container", KeepsDescriptor),
    _mutant("mounts on the host", MountsItself),
    _mutant("raises when it removes what is gone", RemovesOnce),
    _mutant("starts afresh when it is asked again", StartsAfresh),
    _mutant("does not verify a diff id", BelievesTheDiffId),
    _mutant("leaves half a layer after a failure", InPlace),
    _mutant("leaves half a layer when it dies", InPlaceButTidy),
    _mutant("leaves the container after a failure", LeavesTheContainer),
    _mutant("forgets all but one in owned()", OwnsOnlyOne, everyday=True),
    _mutant("collects layers that are wanted", CollectsTheWanted),
    _mutant("collects nothing", CollectsNothing),
    _mutant("gives a container a file of the host", GivesAFileOfTheHost),
    _mutant("gives all containers one root", OneForAll),
    _mutant("says that nobody uses anything", SeesNoUsage),
    _mutant("lets an OSError escape from prepare", LetsErrorsEscape),
    _mutant("puts lower layers on top", UpsideDown),
    _mutant("gives a volume's name to two", SharesVolumes, VolumesSuite),
    _mutant("lets everyone at the volumes", OpensVolumes, VolumesSuite),
    _mutant("tells mount points as changes", TellsMountPoints, CommitSuite),
    _mutant("forgets what was deleted", ForgetsDeletions, CommitSuite),
]
