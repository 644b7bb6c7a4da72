"""An image with one more layer (image-spec manifest.md, config.md)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from typing import Any

from cmanager.errors import CorruptError, HostError
from cmanager.linux.files import write_all
from cmanager.linux.layers import Bounds
from cmanager.model import Authorship, ImageConfig
from cmanager.model.imagestore import Blobs, documents, sha256

_CHUNK = 1 << 20
#: As for the layers of recipes.
_LEVEL = 6


def extend(blobs: Blobs, base: str, layer: int, config: ImageConfig, about: Authorship) -> str:
    """Store the blobs of an image made of the stored image `base` and the tar behind the descriptor `layer`.

    Returns the digest of its manifest. See `cmanager.seams.Import.extend`.
    """
    manifest = documents.read_json(blobs.read(base, documents.LIMIT), base)
    parts = documents.manifest(manifest, base)
    old = documents.read_json(blobs.read(parts.config.digest, documents.LIMIT), parts.config.digest)
    diff_ids = documents.configuration(old, parts.config.digest).diff_ids
    packed = _Packed(layer)
    digest = blobs.make(packed)
    new = {
        **old,
        "created": about.created,
        "author": about.author,
        "config": _execution(old.get("config") or {}, config),
        "rootfs": {"type": "layers", "diff_ids": [*diff_ids, packed.diff_id]},
        "history": [*_history(old, len(diff_ids)), _entry(about)],
    }
    if not about.author:
        del new["author"]
    id, size = _document(blobs, new)
    layers = [{"mediaType": _oci(part.media_type), "digest": part.digest, "size": part.size} for part in parts.layers]
    layers.append({"mediaType": f"{documents.OCI_LAYER}+gzip", "digest": digest, "size": packed.size})
    made = {
        "schemaVersion": 2,
        "mediaType": documents.OCI_MANIFEST,
        "config": {"mediaType": documents.OCI_CONFIG, "digest": id, "size": size},
        "layers": layers,
    }
    return _document(blobs, made)[0]


class _Packed:
    """The layer as gzip without a time, for `Blobs.make`; `diff_id` and `size` hold when it is written."""

    def __init__(self, source: int) -> None:
        self.diff_id = ""
        self.size = 0
        self._source = source

    def __call__(self, target: int) -> str:
        sink, plain, at = _Sink(target), hashlib.sha256(), 0
        with gzip.GzipFile("", "wb", _LEVEL, sink, mtime=0) as packer:
            while chunk := self._read(at):
                plain.update(chunk)
                packer.write(chunk)
                at += len(chunk)
        self.size = sink.size
        bounds = Bounds()
        if at > bounds.size or (at > bounds.grace and at > bounds.ratio * self.size):
            raise CorruptError(
                f"the layer has {at} bytes, {self.size} compressed: it would be refused as a bomb when it is unpacked"
            )
        self.diff_id = f"sha256:{plain.hexdigest()}"
        return f"sha256:{sink.hash.hexdigest()}"

    def _read(self, at: int) -> bytes:
        try:
            return os.pread(self._source, _CHUNK, at)
        except OSError as error:
            raise HostError.of("read a layer", "", error) from None


class _Sink(io.RawIOBase):
    """A descriptor as a file that hashes and counts."""

    def __init__(self, target: int) -> None:
        self._target, self.hash, self.size = target, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        write_all(self._target, content)
        self.hash.update(content)
        self.size += len(content)
        return len(content)


def _document(blobs: Blobs, data: dict[str, Any]) -> tuple[str, int]:
    content = json.dumps(data, sort_keys=True).encode()

    def fill(target: int) -> str:
        write_all(target, content)
        return sha256(content)

    return blobs.make(fill), len(content)


def _execution(old: dict[str, Any], config: ImageConfig) -> dict[str, Any]:
    """The old parameters with those that an ImageConfig knows replaced; empty ones are left out."""
    known: dict[str, Any] = {
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "Env": list(config.env),
        "User": config.user,
        "WorkingDir": config.working_dir,
        "StopSignal": config.stop_signal,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Volumes": {path: {} for path in config.volumes},
        "Labels": config.labels,
        "Healthcheck": config.healthcheck,
    }
    kept = {key: value for key, value in old.items() if key not in known}
    return kept | {key: value for key, value in known.items() if value}


def _history(old: dict[str, Any], layers: int) -> list[Any]:
    """The old history, with an entry for each layer that it does not tell of: readers count them."""
    found = old.get("history")
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    told = sum(not entry.get("empty_layer") for entry in entries)
    return [*({"comment": "unknown"} for _ in range(layers - told)), *entries]


def _entry(about: Authorship) -> dict[str, str]:
    entry = {
        "created": about.created,
        "created_by": about.created_by,
        "author": about.author,
        "comment": about.comment,
    }
    return {key: value for key, value in entry.items() if value}


def _oci(media_type: str) -> str:
    """OCI's word for Docker's: a manifest should speak one language."""
    if "docker" not in media_type:
        return media_type
    return documents.OCI_LAYER + ("+gzip" if media_type.endswith("gzip") else "")
