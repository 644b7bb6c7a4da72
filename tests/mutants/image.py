"""Faults of image stores, put into `layers`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cmanager.errors import CorruptError, NotFoundError
from cmanager.model import Authorship, Image, ImageConfig, ImageEntry, Progress, Reference
from cmanager.model.imagestore import Descriptor, ImageStore, Repository
from cmanager.testing import ImagesSuite, ImportSuite, PushSuite, Suite
from cmanager_layers.store import LayerImages

from .mutant import Mutant, becoming


class ResolvePulls(LayerImages):
    def resolve(self, reference: str) -> Image:
        try:
            return super().resolve(reference)
        except NotFoundError:
            return self.pull(Reference.parse(reference), lambda event: None)


class BelievesDigests(ImageStore):
    def _add(self, repository: Repository, blob: Descriptor, seen: Callable[[int], None]) -> None:
        fd = repository.open_blob(blob.digest)
        path = Path(self.blobs.path(blob.digest))
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(fd, "rb") as file:
            path.write_bytes(file.read())
        seen(blob.size)


class LosesTheName(LayerImages):
    def pull(self, reference: Reference, progress: Progress) -> Image:
        try:
            return super().pull(reference, progress)
        except CorruptError:
            with self._store._catalogue.changing() as names:
                names.tags.pop(f"{reference.repository}:{reference.tag}", None)
            raise


class FetchesAgain(LayerImages):
    def pull(self, reference: Reference, progress: Progress) -> Image:
        self._store.blobs.has = lambda digest, size: False  # type: ignore[method-assign]
        return super().pull(reference, progress)


class SaysNothing(LayerImages):
    def pull(self, reference: Reference, progress: Progress) -> Image:
        return super().pull(reference, lambda event: None)


class KeepsDescriptor(LayerImages):
    def pull(self, reference: Reference, progress: Progress) -> Image:
        os.open("/", os.O_RDONLY)
        return super().pull(reference, progress)


class LetsErrorsEscape(LayerImages):
    def pull(self, reference: Reference, progress: Progress) -> Image:
        os.stat(f"{self._registry.directory}/{reference.repository}")
        return super().pull(reference, progress)


class TakesNoName(LayerImages):
    def tag(self, source: str, target: Reference) -> None:
        try:
            super().resolve(str(target))
        except NotFoundError:
            super().tag(source, target)


class RemovesTheUsed(LayerImages):
    def remove(self, reference: str, in_use: frozenset[str]) -> tuple[str, ...]:
        return super().remove(reference, frozenset())


class CollectsTheUsed(LayerImages):
    def collect(self, in_use: frozenset[str]) -> int:
        return super().collect(frozenset())


class HidesTheNameless(LayerImages):
    def entries(self) -> tuple[ImageEntry, ...]:
        return tuple(entry for entry in super().entries() if entry.reference)


class OldestFirst(LayerImages):
    def entries(self) -> tuple[ImageEntry, ...]:
        return super().entries()[::-1]


class NamesNothing(LayerImages):
    def extend(
        self, base: str, layer: int, config: ImageConfig, about: Authorship, reference: Reference | None
    ) -> Image:
        return super().extend(base, layer, config, about, None)


class ReadsFromWhereItIs(LayerImages):
    def extend(
        self, base: str, layer: int, config: ImageConfig, about: Authorship, reference: Reference | None
    ) -> Image:
        copy = os.memfd_create("layer")
        while chunk := os.read(layer, 1 << 20):
            os.write(copy, chunk)
        try:
            return super().extend(base, copy, config, about, reference)
        finally:
            os.close(copy)


class PushesToNowhere(LayerImages):
    def push(self, reference: Reference, progress: Progress) -> str:
        return super().resolve(str(reference)).digest


def stored(kind: type) -> Any:
    def spoil(images: Any) -> Any:
        images._store.__class__ = kind
        return images

    return spoil


def _mutant(does: str, kind: type, suite: type[Suite] = ImagesSuite, *, everyday: bool = False) -> Mutant:
    spoil = becoming(kind) if issubclass(kind, LayerImages) else stored(kind)
    return Mutant(does, suite, "cmanager_layers:layers", spoil, everyday=everyday)


MUTANTS: list[Any] = [
    _mutant("pulls what it should only resolve", ResolvePulls),
    _mutant("does not verify a digest", BelievesDigests, everyday=True),
    _mutant("loses the name when a pull fails", LosesTheName),
    _mutant("fetches what is here", FetchesAgain),
    _mutant("tells of no progress", SaysNothing),
    _mutant("keeps a descriptor of each pull", KeepsDescriptor),
    _mutant("lets an OSError escape from pull", LetsErrorsEscape),
    _mutant("does not take a name from who had it", TakesNoName),
    _mutant("removes an image that is in use", RemovesTheUsed),
    _mutant("collects an image that is in use", CollectsTheUsed),
    _mutant("does not list images without a name", HidesTheNameless),
    _mutant("lists the oldest first", OldestFirst),
    _mutant("gives a new image no name", NamesNothing, ImportSuite),
    _mutant("does not read a layer from its beginning", ReadsFromWhereItIs, ImportSuite),
    _mutant("pushes to nowhere", PushesToNowhere, PushSuite),
]
