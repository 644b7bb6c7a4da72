"""Images: what they are called, and what an image provider hands over."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import field

from ..errors import InvalidError
from ..linux.values import frozen

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_DOMAIN = re.compile(r"(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(?=:))(?::(\d{1,5}))?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def check_digest(text: str) -> str:
    """`text` if it is `sha256:` and 64 lower-case hex digits, else InvalidError. Call it before any path is built."""
    if not DIGEST.fullmatch(text):
        raise InvalidError(f"not a sha256 digest: {text[:100]!r}")
    return text


@frozen
class Reference:
    """An image's name by the grammar of the distribution specification.

    repository: str, with the registry's host where one was given; tag: str; digest: str, "" when none was given.
    """

    repository: str
    tag: str = "latest"
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """From what a person types: `name`, `name:tag`, `host:port/name@sha256:…`; InvalidError otherwise."""
        rest, at, digest = text.partition("@")
        if at:
            check_digest(digest)
        head, slash, last = rest.rpartition("/")
        last, colon, tag = last.partition(":")
        repository = head + slash + last
        first, slash, path = repository.partition("/")
        host = _DOMAIN.fullmatch(first) if slash else None
        name = path if host else repository
        port = int(host[1]) if host and host[1] else 0
        if len(repository) > 255 or port > 65535 or not _NAME.fullmatch(name) or (colon and not _TAG.fullmatch(tag)):
            raise InvalidError(f"not an image reference: {text[:300]!r}, expected NAME[:TAG][@sha256:DIGEST]")
        return cls(repository, tag if colon else "" if at else "latest", digest)

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@frozen
class Layer:
    """One layer of an image, whose tarball lies in the image store.

    digest: of the bytes as stored; diff_id: of the uncompressed tar; media_type: OCI or Docker layer media type;
    size: bytes as stored; path: absolute path of the blob, which the reader must not change.
    """

    digest: str
    diff_id: str
    media_type: str
    size: int
    path: str


@frozen
class ImageConfig:
    """The execution part of an OCI image configuration ("config" of image-spec config.md).

    Empty values mean that the image says nothing. healthcheck: the Docker extension, as its JSON object.
    """

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: dict[str, str] = field(factory=dict)
    healthcheck: dict[str, Any] = field(factory=dict)


@frozen
class Image:
    """An image that is stored here, whole and verified.

    digest: of its manifest; config: how to run it; layers: from the base upwards; id: digest of the configuration
    blob, which is what Docker shows as IMAGE ID; architecture, os: as in the configuration; created: RFC 3339 or "".
    """

    digest: str
    id: str
    config: ImageConfig
    layers: tuple[Layer, ...]
    architecture: str = ""
    os: str = "linux"
    created: str = ""

    @property
    def size(self) -> int:
        """Bytes of all layers as stored."""
        return sum(layer.size for layer in self.layers)


@frozen
class Authorship:
    """What an image's history says of a layer. created: RFC 3339; created_by: a command; author, comment: text."""

    created: str
    created_by: str = ""
    author: str = ""
    comment: str = ""


@frozen
class ImageEntry:
    """An image under one of its names. reference: "" for an image that lost its last tag."""

    reference: str
    image: Image


@frozen
class PullEvent:
    """One step of a pull or a build, for whoever shows progress.

    item: short name of the blob or step; action: waiting, downloading, verifying, complete, exists, building or
    status; done, total: bytes, 0 when unknown; text: for status lines.
    """

    item: str
    action: str
    done: int = 0
    total: int = 0
    text: str = ""


#: Called with each event; must not raise.
Progress = Callable[[PullEvent], None]
