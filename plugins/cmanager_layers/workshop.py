"""Where an image is built, beside the repositories, and how it gets into its repository whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from cmanager.errors import CmanagerError
from cmanager.linux.files import locked, remove_tree, sync_directory, write_atomic
from cmanager.model.imagestore import Descriptor, Layout, document, documents, sha256

_PLACE = ".building"


@contextmanager
def workshop(registry: str, name: str) -> Iterator[Workshop]:
    """Have the place, waiting for another builder; what was made and not published is gone afterwards."""
    # Flat: the place of `a/b` must not lie in that of `a`.
    place = f"{registry}/{_PLACE}/{name.replace('/', '%')}"
    os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
    with locked(f"{place}.lock"):
        remove_tree(place)
        os.mkdir(place, 0o700)
        try:
            yield Workshop(place, f"{registry}/{name}")
        finally:
            remove_tree(place)


class Workshop:
    """`REGISTRY/.building/NAME`, of one builder at a time; everything raises OSError."""

    def __init__(self, place: str, target: str) -> None:
        self._place, self._target = place, target

    def open(self) -> IO[bytes]:
        """A new file for a blob; close it, then `keep` it."""
        return open(f"{self._place}/blob", "wb")

    def keep(self, digest: str) -> None:
        """Give the blob written last its name."""
        os.rename(f"{self._place}/blob", f"{self._place}/{digest.removeprefix('sha256:')}")

    def document(self, media_type: str, data: dict[str, Any]) -> Descriptor:
        """Write a manifest or configuration."""
        content = json.dumps(data, sort_keys=True).encode()
        digest = sha256(content)
        with self.open() as file:
            file.write(content)
        self.keep(digest)
        return Descriptor(digest, len(content), media_type)

    def has(self, blob: Descriptor) -> bool:
        """Whether the repository has this blob already, by its size."""
        try:
            return os.stat(Layout(self._target).path(blob.digest)).st_size == blob.size
        except FileNotFoundError:
            return False

    def publish(self, manifest: Descriptor, tag: str, architecture: str = "") -> None:
        """Let `tag` mean this manifest in one step, durably; blobs that no tag needs any more go.

        architecture: that of the image, "" for this machine's.
        """
        layout, blobs = Layout(self._target), f"{self._target}/blobs/sha256"
        platform = {"architecture": architecture or documents.architecture(), "os": "linux"}
        entry = {**plain(manifest), "platform": platform, "annotations": {documents.REF_NAME: tag}}
        os.makedirs(blobs, mode=0o755, exist_ok=True)
        made = os.listdir(self._place)
        for name in made:
            fd = os.open(f"{self._place}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fchmod(fd, 0o644)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(f"{self._place}/{name}", f"{blobs}/{name}")
        sync_directory(blobs)
        old = layout.index() if layout.exists() else {}
        others = [other for other in old.get("manifests") or [] if _tag(other) != tag]
        index = {"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": [*others, entry]}
        write_atomic(f"{self._target}/oci-layout", b'{"imageLayoutVersion": "1.0.0"}', mode=0o644)
        write_atomic(f"{self._target}/index.json", json.dumps(index).encode(), durable=True, mode=0o644)
        _prune(layout, blobs)


def plain(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as it stands in a document."""
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def _tag(entry: dict[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(documents.REF_NAME, ""))


def _prune(layout: Layout, blobs: str) -> None:
    wanted: set[str] = set()
    try:
        _want(layout, layout.manifests(), wanted)
    except CmanagerError:
        return  # somebody else's image beside ours cannot be read: better too much than too little
    for name in os.listdir(blobs):
        if f"sha256:{name}" not in wanted:
            os.unlink(f"{blobs}/{name}")


def _want(layout: Layout, entries: tuple[Descriptor, ...], wanted: set[str]) -> None:
    for entry in entries:
        if entry.digest in wanted:
            continue
        wanted.add(entry.digest)
        data = documents.read_json(document(layout, entry), entry.digest)
        if documents.is_index(data, entry.media_type):
            _want(layout, documents.index(data, entry.digest), wanted)
        else:
            found = documents.manifest(data, entry.digest)
            wanted.update(part.digest for part in (found.config, *found.layers))
