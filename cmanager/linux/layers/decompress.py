"""The uncompressed bytes of a layer blob, in pieces, within bounds.

Gzip and plain tar need nothing; zstd needs the Python package `zstandard`. No program is ever called for it, so there
is none to hijack. The first bytes of a blob say what it is, as in other engines: media types in the wild often do not.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from typing import Any

from ...errors import CorruptError, HostError, UnsupportedError
from .bounds import Bounds

_MEDIA_TYPE = re.compile(
    r"application/vnd\.(?:oci\.image\.layer(?:\.nondistributable)?\.v1\.tar|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar)"
    r"(?:[.+](?:gzip|zstd))?"
)
_INPUT = 64 << 10
_PIECE = 1 << 20
_WINDOW = 1 << 27  # what zstd itself accepts without --long
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


def check_media_type(text: str) -> None:
    """Raise UnsupportedError for what is no tar layer of OCI or Docker, such as an encrypted one."""
    if not _MEDIA_TYPE.fullmatch(text):
        raise UnsupportedError(
            f"layers of media type {text[:100]!r} are not supported, only the tar layers of OCI and Docker"
        )


def pieces(blob: str, bounds: Bounds) -> Iterator[bytes]:
    """The uncompressed content of the file `blob` in pieces of at most 1 MiB.

    Raises CorruptError when it is cut, damaged or a bomb, UnsupportedError for zstd without its package, HostError when
    it cannot be read. Memory: a few pieces, with zstd up to 128 MiB of window.
    """
    try:
        fd = os.open(blob, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError.of("open layer", blob, error) from None
    source = _Counted(fd, blob)
    made = 0
    try:
        for piece in _open(source):
            made += len(piece)
            if made > bounds.size:
                raise CorruptError(f"blob {blob} holds more than {bounds.size} bytes (max_layer_bytes)")
            if made > bounds.grace and made > bounds.ratio * source.count:
                raise CorruptError(f"blob {blob} is a decompression bomb, more than {bounds.ratio}:1")
            yield piece
    finally:
        os.close(fd)


def streamed(fd: int, what: str) -> Iterator[bytes]:
    """The uncompressed content of a descriptor that a person gave, without bounds: it is theirs. Errors as `pieces`."""
    return _open(_Counted(fd, what))


def plain(fd: int, what: str) -> Iterator[bytes]:
    """The content of a descriptor as it is."""
    source = _Counted(fd, what)
    return _plain(source(_PIECE), source)


class _Counted:
    """Reads a descriptor in chunks and counts them."""

    def __init__(self, fd: int, blob: str) -> None:
        self.blob = blob
        self.count = 0
        self._fd = fd

    def __call__(self, size: int = _INPUT) -> bytes:
        try:
            chunk = os.read(self._fd, size)
        except OSError as error:
            raise HostError.of("read layer", self.blob, error) from None
        self.count += len(chunk)
        return chunk

    read = __call__


def _open(source: _Counted) -> Iterator[bytes]:
    first = source()
    if first.startswith(_GZIP):
        return _gunzip(first, source)
    if first.startswith(_ZSTD):
        return _unzstd(first, source)
    return _plain(first, source)


def _plain(chunk: bytes, source: _Counted) -> Iterator[bytes]:
    while chunk:
        yield chunk
        chunk = source(_PIECE)


def _gunzip(chunk: bytes, source: _Counted) -> Iterator[bytes]:
    """RFC 1952: one member or several after each other, nothing else."""
    inflater = zlib.decompressobj(31)
    while True:
        try:
            piece = inflater.decompress(chunk, _PIECE)
        except zlib.error as error:
            raise CorruptError(f"blob {source.blob} is damaged: {str(error).lower()}") from None
        if piece:
            yield piece
        if inflater.eof:
            chunk = inflater.unused_data or source()
            if not chunk:
                return
            inflater = zlib.decompressobj(31)
            continue
        chunk = inflater.unconsumed_tail
        # A full piece may mean that more is waiting inside zlib, which then wants to be asked again without input.
        if not chunk and len(piece) < _PIECE:
            chunk = source()
            if not chunk:
                raise CorruptError(f"blob {source.blob} is cut short")


def _unzstd(first: bytes, source: _Counted) -> Iterator[bytes]:
    try:
        import importlib

        zstandard: Any = importlib.import_module("zstandard")
    except ImportError:
        raise UnsupportedError(
            f"blob {source.blob} is compressed with zstd, install the python package zstandard"
        ) from None
    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(
        _Rewound(first, source), read_size=_INPUT, read_across_frames=True
    )
    while True:
        try:
            piece: bytes = reader.read(_PIECE)
        except zstandard.ZstdError as error:
            raise CorruptError(f"blob {source.blob} is damaged: {str(error).lower()}") from None
        if not piece:
            return
        yield piece


class _Rewound:
    """A file object that gives back the first chunk, which was read to recognise the format."""

    def __init__(self, first: bytes, source: _Counted) -> None:
        self._first = first
        self._source = source

    def read(self, size: int = -1) -> bytes:
        first, self._first = self._first, b""
        return first or self._source()
