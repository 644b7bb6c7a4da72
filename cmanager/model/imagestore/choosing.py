"""Which manifest of a repository a reference means on this machine (image-spec image-index.md)."""

from __future__ import annotations

import os
from typing import Protocol

from ...errors import CorruptError, HostError, NotFoundError
from ..image import Image, Layer, Reference
from . import documents
from .blobs import read_document, sha256
from .documents import Configuration, Descriptor, Manifest

#: The tag that is meant where none is given.
LATEST = "latest"


class Repository(Protocol):
    """Where the images of one name are had from: the one thing that an image provider on `ImageStore` must bring.

    Its `str()` says in messages where that is. What it hands out is verified by those who ask.
    """

    def manifests(self) -> tuple[Descriptor, ...]:
        """What can be had: manifests and indexes, each with its tag as `name`, "" without one."""
        ...

    def open_blob(self, digest: str) -> int:
        """A blob as a regular file, open for reading from its beginning; the caller closes it.

        Raises NotFoundError, CorruptError for what is no file, HostError.
        """
        ...


def document(repository: Repository, descriptor: Descriptor) -> bytes:
    """A manifest, index or configuration, verified; CorruptError when it is not what its descriptor promises."""
    what = f"{repository}: blob {descriptor.digest}"
    fd = repository.open_blob(descriptor.digest)
    try:
        content = read_document(fd, documents.LIMIT, what)
    except OSError as error:
        raise HostError.of("read", what, error) from None
    finally:
        os.close(fd)
    if len(content) != descriptor.size:
        raise CorruptError(f"{what} has {len(content)} bytes, {descriptor.size} are promised")
    if sha256(content) != descriptor.digest:
        raise CorruptError(f"{what} has another content: {sha256(content)}")
    return content


def choose(repository: Repository, reference: Reference) -> Descriptor:
    """The manifest for this machine behind a tag or a digest. NotFoundError, UnsupportedError, CorruptError."""
    entries = repository.manifests()
    if reference.digest:
        # Who gives the digest of an image for another machine means it.
        named = _by_digest(repository, entries, reference.digest)
    else:
        named = tuple(entry for entry in entries if entry.name == reference.tag)
        if not named and reference.tag == LATEST:
            # What other tools copy here without a tag: they, too, take it to be the one image there is.
            named = tuple(entry for entry in entries if not entry.name)
    if not named:
        tags = ", ".join(sorted({entry.name or LATEST for entry in entries})) or "no image"
        raise NotFoundError(f"no image {reference} in {repository}, it has {tags}")
    chosen = named[0] if reference.digest else documents.for_this_machine(named, str(reference))
    return _settle(repository, chosen, str(reference))


def agree(manifest: Manifest, config: Configuration, digest: str) -> None:
    """CorruptError when an image does not have a diff id for each layer."""
    if len(config.diff_ids) != len(manifest.layers):
        raise CorruptError(f"{digest} has {len(manifest.layers)} layers, its configuration {len(config.diff_ids)}")


def compose(digest: str, manifest: Manifest, config: Configuration, paths: tuple[str, ...]) -> Image:
    """The value that other seams see; paths: of the layers, in their order."""
    agree(manifest, config, digest)
    layers = tuple(
        Layer(layer.digest, diff_id, layer.media_type, layer.size, path)
        for layer, diff_id, path in zip(manifest.layers, config.diff_ids, paths, strict=True)
    )
    return Image(
        digest, manifest.config.digest, config.execution, layers, config.architecture, config.os, config.created
    )


def _settle(repository: Repository, chosen: Descriptor, what: str) -> Descriptor:
    """Follow indexes to the manifest for this machine: they may name indexes, though not without end."""
    for _ in range(3):
        data = documents.read_json(document(repository, chosen), chosen.digest)
        if not documents.is_index(data, chosen.media_type):
            return chosen
        chosen = documents.for_this_machine(documents.index(data, chosen.digest), what)
    raise CorruptError(f"{what}: its index is nested too deeply")


def _by_digest(repository: Repository, entries: tuple[Descriptor, ...], digest: str) -> tuple[Descriptor, ...]:
    """The entry with this digest, in the repository or in an index that it names."""
    for entry in entries:
        if entry.digest == digest:
            return (entry,)
    for entry in entries:
        if entry.media_type in documents.INDEXES:
            data = documents.read_json(document(repository, entry), entry.digest)
            for inner in documents.index(data, entry.digest):
                if inner.digest == digest:
                    return (inner,)
    return ()
