"""A streaming reader of tar archives: v7, ustar, pax and GNU, with sparse files (POSIX.1-2017 pax; GNU tar manual).

It turns headers into values and decides nothing about them: names may point anywhere, types may be unknown. Whoever
writes them to disk checks. Whatever the bytes are, only a CorruptError comes out, and memory stays bounded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from attrs import field

from ...errors import CorruptError
from ..values import frozen
from . import sparse
from .numbers import decimal, natural, number
from .stream import BLOCK, Stream

FILE, HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_ZERO = bytes(BLOCK)
_OLD_FILE, _CONTIGUOUS, _GNU_SPARSE = b"\0", b"7", b"S"
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
#: Types whose size field means nothing, because no data follows.
_EMPTY = frozenset((HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO))
_EXTENSION_LIMIT = 1 << 20
_LONG_LIMIT = 64 << 10
_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_KNOWN = frozenset((b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"))
_TIME_LIMIT = 1 << 62
_TIME = re.compile(rb"(-?)(\d{1,18})(?:\.(\d*))?")


@frozen
class Entry:
    """One member of an archive.

    name: as written; kind: one of the constants of this module, or a type flag nobody knows; mode: permission bits;
    uid, gid, major, minor: int, unchecked; mtime: nanoseconds since the epoch; link: target of a link; size: bytes of
    the file as read later; segments: where the data that follow go in a sparse file as (offset, length), None for an
    ordinary one; xattrs: by name.
    """

    name: bytes
    kind: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    segments: tuple[tuple[int, int], ...] | None = None
    xattrs: dict[bytes, bytes] = field(factory=dict)


def entries(stream: Stream) -> Iterator[Entry]:
    """The members in order. The data of each are the next bytes of `stream`, to be read before asking for the next one;
    what was not read is skipped. Raises CorruptError."""
    shared: dict[bytes, bytes] = {}
    local: dict[bytes, bytes] = {}
    while block := stream.block():
        if block == _ZERO:
            following = stream.block()
            if following and following != _ZERO:
                raise CorruptError("the archive goes on after a lone zero block")
            break
        header = _Header(block)
        if header.flag == _PAX:
            local |= _records(_extension(stream, header, _EXTENSION_LIMIT))
        elif header.flag == _PAX_GLOBAL:
            shared |= _records(_extension(stream, header, _EXTENSION_LIMIT))
            if sum(map(len, shared)) + sum(map(len, shared.values())) > _EXTENSION_LIMIT:
                raise CorruptError(f"the global pax headers take more than {_EXTENSION_LIMIT} bytes")
        elif header.flag == _LONG_NAME:
            local.setdefault(b"path", _text(_extension(stream, header, _LONG_LIMIT)))
        elif header.flag == _LONG_LINK:
            local.setdefault(b"linkpath", _text(_extension(stream, header, _LONG_LIMIT)))
        else:
            records = {key: value for key, value in (shared | local).items() if value} if shared or local else {}
            local = {}
            entry, stored = _entry(header, records, stream)
            end = stream.position + stored + -stored % BLOCK
            yield entry
            stream.skip(end - stream.position)
    if local:
        raise CorruptError("the archive ends after an extended header")


class _Header:
    """The fields of one header block, its checksum verified."""

    __slots__ = ("fields", "flag", "magic")

    def __init__(self, block: bytes) -> None:
        self.fields: tuple[bytes, ...] = _HEADER.unpack(block)
        self.flag = self.fields[7]
        self.magic = self.fields[9]
        promised = number(self.fields[6], "checksum")
        found = sum(block) - sum(block[148:156]) + 8 * 32
        # Some old archivers summed signed bytes.
        if found != promised and found - 256 * sum(byte > 127 for byte in block[:148] + block[156:]) != promised:
            raise CorruptError(f"a header has checksum {found}, not {promised}: it is damaged or no tar archive")

    @property
    def size(self) -> int:
        return natural(self.fields[4], "size")

    @property
    def name(self) -> bytes:
        name, prefix = _text(self.fields[0]), self.fields[15]
        # GNU archives ("ustar  ") keep times where POSIX has the prefix.
        if self.magic == b"ustar\0" and prefix[0]:
            return _text(prefix) + b"/" + name
        return name


def _entry(header: _Header, records: dict[bytes, bytes], stream: Stream) -> tuple[Entry, int]:
    """The entry and the number of its bytes that follow in the stream."""
    _, mode, uid, gid, _, mtime, _, kind, link, _, _, _, _, major, minor, _ = header.fields
    name = header.name
    xattrs: dict[bytes, bytes] = {}
    segments = None
    when = _seconds(number(mtime, "mtime"))
    owner, group, stored = number(uid, "uid"), number(gid, "gid"), header.size
    link = _text(link)
    if records:
        name, link = records.get(b"path", name), records.get(b"linkpath", link)
        owner, group = _decimal(records, b"uid", owner), _decimal(records, b"gid", group)
        stored = _decimal(records, b"size", stored)
        when = _time(records[b"mtime"]) if b"mtime" in records else when
        xattrs = {key[len(_XATTR) :]: value for key, value in records.items() if key.startswith(_XATTR)}
    if kind == _OLD_FILE:
        kind = DIRECTORY if name.endswith(b"/") else FILE
    elif kind == _CONTIGUOUS:
        kind = FILE
    if kind in _EMPTY:
        stored = 0
    size = stored
    if kind == _GNU_SPARSE:
        kind = FILE
        segments, size = sparse.old_gnu(header.fields, stream, stored)
    elif kind == FILE and any(key.startswith(_SPARSE) for key in records):
        segments, size, stored = sparse.pax(records, stream, stored)
        name = records.get(b"GNU.sparse.name", name)
    device = kind in (CHARACTER, BLOCK_DEVICE)
    entry = Entry(
        name=name,
        kind=kind,
        mode=number(mode, "mode") & 0o7777,
        uid=owner,
        gid=group,
        mtime=when,
        size=size,
        link=link,
        major=natural(major, "device number") if device else 0,
        minor=natural(minor, "device number") if device else 0,
        segments=segments,
        xattrs=xattrs,
    )
    return entry, stored


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _extension(stream: Stream, header: _Header, limit: int) -> bytes:
    size = header.size
    if size > limit:
        raise CorruptError(f"an extended header has {size} bytes, at most {limit} are allowed")
    content = stream.read(size)
    stream.skip(-size % BLOCK)
    return content


def _records(content: bytes) -> dict[bytes, bytes]:
    """The "LENGTH KEY=VALUE\\n" records that mean something here; an empty value takes a key back."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        space = content.find(b" ", at, at + 21)
        digits = content[at : max(space, at)]
        if not digits.isdigit():
            raise CorruptError("a pax record does not begin with its length")
        end = at + int(digits)
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if end <= space + 1 or end > len(content) or content[end - 1 : end] != b"\n" or not equals or not key:
            raise CorruptError(f"a pax record is not of the form LENGTH KEY=VALUE: {content[at : at + 40]!r}")
        at = end
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            # Version 0.0 repeats two keys, version 0.1 lists the same numbers under one.
            found[sparse.MAP] = found[sparse.MAP] + b"," + value if sparse.MAP in found else value
        elif key in _KNOWN or key.startswith((_XATTR, _SPARSE)):
            found[key] = value
    return found


def _decimal(records: dict[bytes, bytes], key: bytes, default: int) -> int:
    value = records.get(key)
    return default if value is None else decimal(value, f"pax record {key.decode()}")


def _seconds(value: int) -> int:
    if abs(value) > _TIME_LIMIT:
        raise CorruptError(f"a header has the mtime {value}, which is no time")
    return value * 1_000_000_000


def _time(text: bytes) -> int:
    match = _TIME.fullmatch(text)
    if not match:
        raise CorruptError(f"pax record mtime is {text[:40]!r}, which is no time")
    sign, seconds, fraction = match.groups()
    value = int(seconds) * 1_000_000_000 + int((fraction or b"")[:9].ljust(9, b"0"))
    return -value if sign else value
