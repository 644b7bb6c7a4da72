"""Maps of sparse files in tar archives: the old GNU format and pax 0.0, 0.1 and 1.0 (GNU tar manual, "Sparse Formats").

A map is a tuple of (offset, length) pairs in ascending order; the lengths together are the data that follow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ...errors import CorruptError
from .numbers import decimal, natural
from .stream import BLOCK, Stream

Segments = tuple[tuple[int, int], ...]

MAP = b"GNU.sparse.map"
_LIMIT = 100_000
_PAIR = struct.Struct("12s12s")


def old_gnu(fields: tuple[bytes, ...], stream: Stream, stored: int) -> tuple[Segments, int]:
    """The map and size of a type "S" entry; reads the blocks that continue its header.

    fields: the header's; stored: bytes of data that follow. Raises CorruptError.
    """
    # The map begins at byte 386, which POSIX counts to the prefix at 345: 4 pairs, a flag, the real size.
    area = fields[15]
    pairs, flag = area[41:137], area[137]
    size = natural(area[138:150], "sparse size")
    segments = _pairs(pairs)
    while flag:
        if len(segments) > _LIMIT:
            raise CorruptError(f"a sparse file has more than {_LIMIT} pieces")
        block = stream.read(BLOCK)
        segments += _pairs(block[:504])
        flag = block[504]
    return _checked(segments, size, stored), size


def pax(records: dict[bytes, bytes], stream: Stream, stored: int) -> tuple[Segments, int, int]:
    """The map, the size and the bytes of data that still follow, for an entry with GNU.sparse records.

    stored: bytes that follow now; version 1.0 keeps its map in front of the data, and it is read here.
    """
    size = decimal(records.get(b"GNU.sparse.realsize", records.get(b"GNU.sparse.size", b"")), "size of a sparse file")
    version = (records.get(b"GNU.sparse.major", b"0"), records.get(b"GNU.sparse.minor", b"0"))
    if version == (b"1", b"0"):
        numbers, used = _leading_map(stream, stored)
        stored -= used
    elif version not in ((b"0", b"0"), (b"0", b"1")):
        raise CorruptError(f"a sparse file has a map of the unknown version {version!r}")
    else:
        numbers = [decimal(text, "sparse map") for text in records.get(MAP, b"").split(b",") if text]
        if len(numbers) > 2 * _LIMIT:
            raise CorruptError(f"a sparse file has more than {_LIMIT} pieces")
    if len(numbers) % 2:
        raise CorruptError("a sparse file has a map with an odd count of numbers")
    segments = list(zip(numbers[::2], numbers[1::2], strict=True))
    return _checked(segments, size, stored), size, stored


def _leading_map(stream: Stream, stored: int) -> tuple[list[int], int]:
    """Decimal lines: the count of pairs, then offset and length of each, padded to whole blocks."""
    text = b""
    lines: list[bytes] = []
    used = 0
    wanted = 1
    while len(lines) < wanted:
        if used + BLOCK > stored:
            raise CorruptError("a sparse file ends inside its map")
        text += stream.read(BLOCK)
        used += BLOCK
        *complete, text = text.split(b"\n")
        lines += complete
        if len(text) > BLOCK:
            raise CorruptError("a sparse file has a map that is no list of numbers")
        if lines and wanted == 1:
            count = decimal(lines[0], "size of a sparse map")
            if count > _LIMIT:
                raise CorruptError(f"a sparse file has {count} pieces, at most {_LIMIT} are allowed")
            wanted = 1 + 2 * count
    return [decimal(line, "sparse map") for line in lines[1:wanted]], used


def _pairs(area: bytes) -> list[tuple[int, int]]:
    found = []
    for offset, length in _PAIR.iter_unpack(area):
        if not offset[0] and not length[0]:
            break
        found.append((natural(offset, "sparse map"), natural(length, "sparse map")))
    return found


def _checked(segments: Iterable[tuple[int, int]], size: int, stored: int) -> Segments:
    end = total = 0
    for offset, length in segments:
        if offset < end:
            raise CorruptError("a sparse file has pieces that overlap")
        end = offset + length
        total += length
    if end > size or total != stored:
        raise CorruptError(f"a sparse file of {size} bytes has a map of {total} bytes to {end}, stored are {stored}")
    return tuple(segments)
