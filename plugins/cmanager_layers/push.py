"""A stored image in the local registry directory, where `pull` and other tools find it."""

from __future__ import annotations

import hashlib
import os

from cmanager.errors import ConflictError, CorruptError, HostError
from cmanager.model import Image, Progress, PullEvent, Reference
from cmanager.model.imagestore import Blobs, Descriptor, Layout, documents

from .workshop import Workshop, workshop

_CHUNK = 1 << 20
_SHORT = 12


def push(blobs: Blobs, image: Image, reference: Reference, registry: str, progress: Progress) -> None:
    """Copy `image` into its repository and let the tag of `reference` mean it. See `cmanager.seams.Push.push`."""
    _check_place(registry, reference)
    content = blobs.read(image.digest, documents.LIMIT)
    data = documents.read_json(content, image.digest)
    manifest = documents.manifest(data, image.digest)
    top = Descriptor(image.digest, len(content), data.get("mediaType", documents.OCI_MANIFEST))
    progress(PullEvent("", "status", text=f"{reference}: pushing to {registry}/{reference.repository}"))
    try:
        with workshop(registry, reference.repository) as place:
            for layer in {layer.digest: layer for layer in manifest.layers}.values():
                item = layer.digest[7 : 7 + _SHORT]
                if place.has(layer):
                    progress(PullEvent(item, "exists", layer.size, layer.size, text="Layer already exists"))
                    continue
                _copy(blobs, layer, place)
                progress(PullEvent(item, "complete", layer.size, layer.size, text="Pushed"))
            for document in (manifest.config, top):
                if not place.has(document):
                    _copy(blobs, document, place)
            place.publish(top, reference.tag, image.architecture)
    except OSError as error:
        raise HostError.of(f"push {reference} to", error.filename or registry, error) from None


def _check_place(registry: str, reference: Reference) -> None:
    """A repository cannot lie in another one, whose files it would be mixed with."""
    parts = reference.repository.split("/")
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        if Layout(f"{registry}/{above}").exists():
            raise ConflictError(f"{reference.repository} would lie in repository {above}, tag it with another name")


def _copy(blobs: Blobs, blob: Descriptor, place: Workshop) -> None:
    path, hashed, size = blobs.path(blob.digest), hashlib.sha256(), 0
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        with place.open() as target:
            while chunk := os.read(source, _CHUNK):
                hashed.update(chunk)
                size += len(chunk)
                target.write(chunk)
    finally:
        os.close(source)
    if f"sha256:{hashed.hexdigest()}" != blob.digest or size != blob.size:
        raise CorruptError(f"blob {path} is damaged, pull its image again")
    place.keep(blob.digest)
