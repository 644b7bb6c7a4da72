"""A streaming writer of tar archives: ustar, with pax records where that is too small (POSIX.1-2017 pax).

The counterpart of `tar`: it writes the same `Entry` values. Equal entries give equal bytes. Holes are kept as the
sparse format 1.0 of GNU tar, which Go's and libarchive's readers know too.
"""

from __future__ import annotations

import os
import struct

from .. import files
from . import tar
from .stream import BLOCK
from .tar import Entry

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_BUFFER = 256 << 10
_CHUNK = 1 << 20
_SECOND = 1_000_000_000
_OCTAL_ID, _OCTAL_SIZE = 0o7777777, 0o77777777777
_NAME = 100


class Changed(Exception):
    """A file was cut while it was read: its header has promised more."""


class Writer:
    """Writes to the descriptor `fd`, which stays the caller's; raises OSError. Memory: some 100 KiB."""

    def __init__(self, fd: int) -> None:
        self.written = 0
        self._fd = fd
        self._buffer = bytearray()

    def add(self, entry: Entry, source: int = -1) -> None:
        """One entry; the data of a regular file are read from the descriptor `source`. Raises Changed."""
        name, stored, leading = entry.name, entry.size if entry.kind == tar.FILE else 0, b""
        records: dict[bytes, bytes] = {b"SCHILY.xattr." + key: value for key, value in entry.xattrs.items()}
        if entry.segments is not None:
            leading = _map(entry.segments)
            stored = len(leading) + sum(length for _, length in entry.segments)
            records |= {
                b"GNU.sparse.major": b"1",
                b"GNU.sparse.minor": b"0",
                b"GNU.sparse.name": name,
                b"GNU.sparse.realsize": b"%d" % entry.size,
            }
            name = b"GNUSparseFile.0/" + name.rpartition(b"/")[2][:64]
        self._header(entry, name, stored, records)
        if entry.kind == tar.FILE:
            self._put(leading)
            for offset, length in entry.segments if entry.segments is not None else ((0, entry.size),):
                self._copy(source, offset, length)
            self._put(bytes(-stored % BLOCK))

    def finish(self) -> None:
        """The two zero blocks, and everything that is still held back."""
        self._put(bytes(2 * BLOCK))
        self._flush()

    def _header(self, entry: Entry, name: bytes, stored: int, records: dict[bytes, bytes]) -> None:
        seconds, fraction = divmod(entry.mtime, _SECOND)
        if fraction or not 0 <= seconds <= _OCTAL_SIZE:
            records[b"mtime"] = _decimal_time(entry.mtime)
            seconds = min(max(seconds, 0), _OCTAL_SIZE)
        link, size = entry.link, stored
        if len(name) > _NAME:
            records[b"path"], name = name, name[:_NAME]
        if len(link) > _NAME:
            records[b"linkpath"], link = link, link[:_NAME]
        if size > _OCTAL_SIZE:
            records[b"size"], size = b"%d" % size, 0
        ids = []
        for key, number in ((b"uid", entry.uid), (b"gid", entry.gid)):
            if number > _OCTAL_ID:
                records[key] = b"%d" % number
            ids.append(min(number, _OCTAL_ID))
        if records:
            content = b"".join(_record(key, records[key]) for key in sorted(records))
            self._block(b"././@PaxHeader", 0, 0, 0, len(content), 0, b"x", b"", 0, 0)
            self._put(content + bytes(-len(content) % BLOCK))
        self._block(name, entry.mode, ids[0], ids[1], size, seconds, entry.kind, link, entry.major, entry.minor)

    def _block(
        self,
        name: bytes,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        mtime: int,
        kind: bytes,
        link: bytes,
        major: int,
        minor: int,
    ) -> None:
        fields: list[bytes] = [name, b"%07o" % mode, b"%07o" % uid, b"%07o" % gid, b"%011o" % size, b"%011o" % mtime]
        rest = [kind, link, b"ustar", b"00", b"", b"", b"%07o" % major, b"%07o" % minor, b""]
        summed = sum(_HEADER.pack(*fields, b" " * 8, *rest))
        self._put(_HEADER.pack(*fields, b"%06o\0 " % summed, *rest))

    def _copy(self, source: int, offset: int, length: int) -> None:
        while length:
            chunk = os.pread(source, min(length, _CHUNK), offset)
            if not chunk:
                raise Changed
            self._put(chunk)
            offset += len(chunk)
            length -= len(chunk)

    def _put(self, data: bytes) -> None:
        self.written += len(data)
        self._buffer += data
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        files.write_all(self._fd, self._buffer)
        self._buffer = bytearray()


def _map(segments: tuple[tuple[int, int], ...]) -> bytes:
    numbers = [len(segments), *(number for pair in segments for number in pair)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """ "LENGTH KEY=VALUE\\n", where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _decimal_time(nanoseconds: int) -> bytes:
    sign, (seconds, fraction) = b"-" if nanoseconds < 0 else b"", divmod(abs(nanoseconds), _SECOND)
    return sign + b"%d" % seconds + (b".%09d" % fraction).rstrip(b"0").rstrip(b".")
