"""Manifests, indexes and configurations (image-spec manifest.md, image-index.md, config.md), read with suspicion."""

from __future__ import annotations

import json
import os
from typing import Any

from ...errors import CorruptError, UnsupportedError
from ...linux.values import frozen
from ..image import DIGEST, ImageConfig

#: Larger documents are refused before they are read, as registries do.
LIMIT = 4 << 20
#: No honest document is nested deeper.
_DEPTH = 32
REF_NAME = "org.opencontainers.image.ref.name"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
#: Media types of indexes.
INDEXES = (OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = (OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
_CONFIGS = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@frozen
class Descriptor:
    """A reference to content. digest: "sha256:…"; size: bytes; name: its tag in a layout, "" for none."""

    digest: str
    size: int
    media_type: str
    name: str = ""
    platform: tuple[str, str] = ("", "")


@frozen
class Manifest:
    """config and layers of one image, the base first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@frozen
class Configuration:
    """What is read of an image configuration."""

    execution: ImageConfig
    diff_ids: tuple[str, ...]
    architecture: str
    os: str
    created: str


def architecture() -> str:
    """This machine in the words of image-spec (GOARCH)."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def read_json(content: bytes, what: str) -> dict[str, Any]:
    """A JSON object, or CorruptError naming `what`."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{what} is not JSON: {str(error)[:100]}") from None
    if not isinstance(data, dict):
        raise CorruptError(f"{what} is not a JSON object")
    level: list[Any] = [data]
    for _ in range(_DEPTH):
        values = (value for part in level for value in (part.values() if isinstance(part, dict) else part))
        level = [value for value in values if isinstance(value, dict | list)]
        if not level:
            return data
    raise CorruptError(f"{what} is JSON nested deeper than {_DEPTH} levels")


def is_index(data: dict[str, Any], media_type: str) -> bool:
    """Whether a document lists manifests; one that is both is refused (CVE-2021-41190)."""
    if "manifests" in data and ("layers" in data or "config" in data):
        raise CorruptError("an image document is manifest and index at once, it is refused")
    return media_type in INDEXES or "manifests" in data


def index(data: dict[str, Any], what: str) -> tuple[Descriptor, ...]:
    """The manifests an index lists."""
    return tuple(_descriptor(entry, what) for entry in _list(data, "manifests", what))


def for_this_machine(entries: tuple[Descriptor, ...], what: str) -> Descriptor:
    """The entry for linux on this machine; one that names no platform fits everywhere. UnsupportedError without one."""
    wanted = ("linux", architecture())
    for entry in entries:
        if entry.platform in (wanted, ("", "")) and entry.media_type in (*_MANIFESTS, *INDEXES, ""):
            return entry
    there = ", ".join(sorted({"/".join(entry.platform).strip("/") or "no platform" for entry in entries})) or "nothing"
    raise UnsupportedError(f"{what} has no image for linux/{wanted[1]}, it has {there}")


def manifest(data: dict[str, Any], what: str) -> Manifest:
    """A manifest; UnsupportedError for one of another kind of content."""
    if data.get("schemaVersion") != 2:
        raise UnsupportedError(f"{what} has schema version {data.get('schemaVersion')!r}, only 2 is supported")
    if data.get("mediaType", OCI_MANIFEST) not in _MANIFESTS:
        raise UnsupportedError(f"{what} is of type {str(data['mediaType'])[:100]!r}, which is no image")
    layers = tuple(_descriptor(entry, what) for entry in _list(data, "layers", what))
    config = _descriptor(data.get("config"), what)
    if config.media_type and config.media_type not in _CONFIGS:
        raise UnsupportedError(f"{what} has a configuration of type {config.media_type[:100]!r}, which is no image's")
    return Manifest(config, layers)


def configuration(data: dict[str, Any], what: str) -> Configuration:
    """An image configuration."""
    rootfs = data.get("rootfs")
    if not isinstance(rootfs, dict):
        raise CorruptError(f"{what}: rootfs is missing")
    diff_ids = _texts(rootfs.get("diff_ids"), f"{what}: rootfs.diff_ids")
    if not all(DIGEST.fullmatch(digest) for digest in diff_ids):
        raise CorruptError(f"{what}: a diff id is not a sha256 digest")
    words = {key: _word(data.get(key), f"{what}: {key}") for key in ("architecture", "os", "created")}
    return Configuration(_execution(data.get("config") or {}, what), diff_ids, **words)


def _execution(config: Any, what: str) -> ImageConfig:
    if not isinstance(config, dict):
        raise CorruptError(f"{what}: config is not an object")

    def texts(key: str) -> tuple[str, ...]:
        return _texts(config.get(key), f"{what}: config.{key}")

    def keys(key: str) -> tuple[str, ...]:
        value = config.get(key) or {}
        if not isinstance(value, dict):
            raise CorruptError(f"{what}: config.{key} is not an object")
        return _texts(list(value), f"{what}: config.{key}")

    labels = config.get("Labels") or {}
    healthcheck = config.get("Healthcheck") or {}
    if not isinstance(labels, dict) or not isinstance(healthcheck, dict):
        raise CorruptError(f"{what}: config.Labels and config.Healthcheck must be objects")
    names = _texts(list(labels), f"{what}: config.Labels")
    values = [_text(value, f"{what}: config.Labels") for value in labels.values()]
    return ImageConfig(
        entrypoint=texts("Entrypoint"),
        cmd=texts("Cmd"),
        env=texts("Env"),
        user=_text(config.get("User"), f"{what}: config.User"),
        working_dir=_text(config.get("WorkingDir"), f"{what}: config.WorkingDir"),
        stop_signal=_text(config.get("StopSignal"), f"{what}: config.StopSignal"),
        exposed_ports=keys("ExposedPorts"),
        volumes=keys("Volumes"),
        labels=dict(zip(names, values, strict=True)),
        healthcheck=healthcheck,
    )


def _descriptor(data: Any, what: str) -> Descriptor:
    if not isinstance(data, dict):
        raise CorruptError(f"{what}: a descriptor is not an object")
    digest, size = data.get("digest"), data.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise CorruptError(f"{what}: {str(digest)[:100]!r} is not a sha256 digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63:
        raise CorruptError(f"{what}: {str(size)[:40]!r} is not a size")
    machine = data.get("platform") or {}
    annotations = data.get("annotations") or {}
    if not isinstance(machine, dict) or not isinstance(annotations, dict):
        raise CorruptError(f"{what}: platform and annotations must be objects")
    return Descriptor(
        digest,
        size,
        _word(data.get("mediaType"), f"{what}: mediaType"),
        _word(annotations.get(REF_NAME), f"{what}: {REF_NAME}"),
        (_word(machine.get("os"), f"{what}: os"), _word(machine.get("architecture"), f"{what}: architecture")),
    )


def _list(data: dict[str, Any], key: str, what: str) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list):
        raise CorruptError(f"{what}: {key} is not a list")
    return value


def _word(value: Any, what: str) -> str:
    """Text that people are shown: nothing in it reaches their terminal as a control sequence."""
    text = _text(value, what)
    if len(text) > 300 or not text.isprintable():
        raise CorruptError(f"{what} has control characters or is too long: {text[:60]!r}")
    return text


def _text(value: Any, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise CorruptError(f"{what} is not text")
    # JSON can spell half a surrogate pair, which no file and no environment can hold.
    if "\0" in value or (not value.isascii() and value.encode("utf-8", "replace").decode() != value):
        raise CorruptError(f"{what} holds characters that no program can be given: {value[:60]!r}")
    return value


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise CorruptError(f"{what} is not a list of texts")
    for item in value:
        if not isinstance(item, str):
            raise CorruptError(f"{what} is not a list of texts")
        _text(item, what)
    return tuple(value)
