"""The image seam, but for where images come from: blobs, their names, and all that is asked of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ...errors import ConflictError, CorruptError, InvalidError, NotFoundError, UnsupportedError
from ..image import Image, ImageEntry, Progress, PullEvent, Reference
from . import documents
from .blobs import Blobs, sha256
from .catalogue import Catalogue, Names
from .choosing import Repository, agree, choose, compose
from .documents import Descriptor, Manifest

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}")
_SHORT = 12
#: Held shared by whoever adds blobs, alone by whoever removes some.
_PULLING = "pulling.lock"


class ImageStore:
    """Images of one state directory: a whole `cmanager.seams.Images`.

    find: the repository behind a name, NotFoundError where there is none; called for each pull. blobs: what is stored,
    by digest; who adds some holds `adding`.
    """

    def __init__(self, state_dir: str, find: Callable[[Reference], Repository]) -> None:
        self._find = find
        self.blobs = Blobs(f"{state_dir}/blobs")
        self._catalogue = Catalogue(state_dir)

    def pull(self, reference: Reference, progress: Progress) -> Image:
        """See `cmanager.seams.Images.pull`; a name with a digest is kept as `name@digest`, whatever its tag."""
        repository = self._find(reference)
        with self.adding():
            progress(PullEvent("", "status", text=f"{reference}: pulling from {repository}"))
            wanted = choose(repository, reference)
            try:
                self._fetch(repository, wanted, progress)
            except NotFoundError:
                # Built anew while we read: what it was before is gone.
                found, wanted = wanted, choose(repository, reference)
                if found.digest == wanted.digest:
                    raise
                self._fetch(repository, wanted, progress)
            return self.adopt(wanted.digest, reference)

    @contextmanager
    def adding(self) -> Iterator[None]:
        """As long as this is held no blob is removed; any number may hold it."""
        with self._catalogue.locked(_PULLING, shared=True):
            yield

    def adopt(self, digest: str, reference: Reference | None) -> Image:
        """The image whose manifest and parts are among the blobs, now known here, and by this name if there is one."""
        image = self._load(digest)
        with self._catalogue.changing() as names:
            names.images[image.digest] = image.id
            if reference is not None:
                names.tags[_name(reference)] = image.digest
        return image

    def resolve(self, reference: str) -> Image:
        """See `cmanager.seams.Images.resolve`; costs three small reads."""
        return self._load(_named(self._catalogue.read(), reference))

    def entries(self) -> tuple[ImageEntry, ...]:
        """See `cmanager.seams.Images.entries`; images that have become unreadable are left out."""
        names = self._catalogue.read()
        by_digest: dict[str, list[str]] = {digest: [] for digest in names.images}
        for name, digest in names.tags.items():
            by_digest[digest].append(name)
        found = []
        for digest, called in by_digest.items():
            with suppress(NotFoundError, CorruptError):
                image = self._load(digest)
                found += [ImageEntry(name, image) for name in called or [""]]
        found.sort(key=lambda entry: entry.reference)
        return tuple(sorted(found, key=lambda entry: entry.image.created, reverse=True))

    def tag(self, source: str, target: Reference) -> None:
        """See `cmanager.seams.Images.tag`."""
        if target.digest:
            raise InvalidError(f"{target} cannot be a name: it has a digest")
        with self._catalogue.changing() as names:
            names.tags[_name(target)] = _named(names, source)

    def remove(self, reference: str, in_use: frozenset[str]) -> tuple[str, ...]:
        """See `cmanager.seams.Images.remove`; a digest or an id stands for all names of the image.

        Blobs stay for `collect` while a pull runs, which may count on them.
        """
        with self._catalogue.locked(_PULLING, wait=False) as alone:
            unneeded: set[str] = set()
            with self._catalogue.changing() as names:
                digest = _named(names, reference)
                one, named = _tagged(names, reference), names.of(digest)
                going = [one] if one else named
                last = len(going) == len(named)
                if last and digest in in_use:
                    raise ConflictError(f"image {reference} is used by a container, remove that first or use -f")
                for name in going:
                    del names.tags[name]
                lines = [f"Untagged: {name}" for name in going]
                if last:
                    lines.append(f"Deleted: {names.images.pop(digest)}")
                    unneeded = self._needed({digest}) - self._needed({*names.images, *in_use})
            if alone:
                self.blobs.drop(unneeded)
        return tuple(lines)

    def collect(self, in_use: frozenset[str]) -> int:
        """See `cmanager.seams.Images.collect`; while a pull runs nothing is removed."""
        with self._catalogue.locked(_PULLING, wait=False) as alone:
            if not alone:
                return 0
            with self._catalogue.changing() as names:
                for digest in set(names.images) - set(names.tags.values()) - in_use:
                    del names.images[digest]
                needed = self._needed({*names.images, *in_use})
            return self.blobs.keep(needed)

    def _fetch(self, repository: Repository, wanted: Descriptor, progress: Progress) -> None:
        """Store every blob of an image, documents first."""
        from ...linux.layers.decompress import check_media_type

        manifest = documents.manifest(
            documents.read_json(self._document(repository, wanted), wanted.digest), wanted.digest
        )
        id = manifest.config.digest
        config = documents.configuration(documents.read_json(self._document(repository, manifest.config), id), id)
        agree(manifest, config, wanted.digest)
        layers = {layer.digest: layer for layer in manifest.layers}.values()
        for layer in layers:
            check_media_type(layer.media_type)
        for layer in layers:
            progress(PullEvent(_short(layer), "waiting", 0, layer.size))
        for layer in layers:
            self._layer(repository, layer, progress)

    def _document(self, repository: Repository, wanted: Descriptor) -> bytes:
        """A manifest or configuration; a copy of ours that has rotted is fetched again."""
        if wanted.size > documents.LIMIT:
            raise CorruptError(f"{wanted.digest} is larger than {documents.LIMIT} bytes")
        with suppress(NotFoundError, CorruptError):
            content = self.blobs.read(wanted.digest, documents.LIMIT)
            if len(content) == wanted.size and sha256(content) == wanted.digest:
                return content
        self._add(repository, wanted, lambda done: None)
        return self.blobs.read(wanted.digest, documents.LIMIT)

    def _layer(self, repository: Repository, layer: Descriptor, progress: Progress) -> None:
        item = _short(layer)
        if self.blobs.has(layer.digest, layer.size):
            progress(PullEvent(item, "exists", layer.size, layer.size))
            return

        def seen(done: int) -> None:
            progress(PullEvent(item, "downloading" if done < layer.size else "verifying", done, layer.size))

        self._add(repository, layer, seen)
        progress(PullEvent(item, "complete", layer.size, layer.size))

    def _add(self, repository: Repository, blob: Descriptor, seen: Callable[[int], None]) -> None:
        fd = repository.open_blob(blob.digest)
        try:
            self.blobs.add(fd, blob.digest, blob.size, seen)
        finally:
            os.close(fd)

    def _load(self, digest: str) -> Image:
        manifest = self._manifest(digest)
        id = manifest.config.digest
        config = documents.configuration(documents.read_json(self.blobs.read(id, documents.LIMIT), id), id)
        return compose(digest, manifest, config, tuple(self.blobs.path(layer.digest) for layer in manifest.layers))

    def _manifest(self, digest: str) -> Manifest:
        return documents.manifest(documents.read_json(self.blobs.read(digest, documents.LIMIT), digest), digest)

    def _needed(self, images: set[str]) -> set[str]:
        """The blobs of these images; of one with an unreadable manifest that alone, a pull fetches the rest again."""
        needed = set(images)
        for digest in images:
            with suppress(NotFoundError, CorruptError, UnsupportedError):
                manifest = self._manifest(digest)
                needed |= {manifest.config.digest, *(layer.digest for layer in manifest.layers)}
        return needed


def _named(names: Names, text: str) -> str:
    """The manifest digest behind a name, a digest or an id."""
    if name := _tagged(names, text):
        return names.tags[name]
    digest = text.rpartition("@")[2]
    if digest in names.images:
        return digest
    if _ID.fullmatch(text):
        wanted = text.removeprefix("sha256:")
        found = {m for m, id in names.images.items() if m[7:].startswith(wanted) or id[7:].startswith(wanted)}
        if len(found) == 1:
            return found.pop()
        if found:
            ids = ", ".join(sorted(names.images[digest][7 : 7 + _SHORT] for digest in found))
            raise InvalidError(f"image id {text!r} is ambiguous: {ids}")
    else:
        Reference.parse(text)
    raise NotFoundError(f"no image {text!r} is stored here, see: cmanager images")


def _tagged(names: Names, text: str) -> str:
    """The name in the catalogue that `text` means, "" when it is none."""
    if text in names.tags:
        return text
    if "@" in text:
        head, _, digest = text.rpartition("@")
        with suppress(InvalidError):
            text = f"{Reference.parse(head).repository}@{digest}"
        return text if text in names.tags else ""
    return f"{text}:latest" if f"{text}:latest" in names.tags else ""


def _name(reference: Reference) -> str:
    if reference.digest:
        return f"{reference.repository}@{reference.digest}"
    return f"{reference.repository}:{reference.tag}"


def _short(layer: Descriptor) -> str:
    return layer.digest[7 : 7 + _SHORT]
