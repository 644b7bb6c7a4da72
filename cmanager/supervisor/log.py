"""The log: one line per line of output, `TIME stdout|stderr F|P TEXT`.

TIME is RFC 3339 in UTC with nanoseconds; F ends a line, P is a piece without its newline yet. Bytes are kept as they
came, NUL and invalid UTF-8 included, so that what went in comes out. A log that rotates is several files: `log` is the
one that is written to, `log.1` what went before it, `log.2` what went before that. A file only ever moves to a higher
number, and nothing is written to it once it has one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, NamedTuple


class Record(NamedTuple):
    """One entry. time: as written; stream: b"stdout" or b"stderr"; data: bytes with the newline, if it had one."""

    time: bytes
    stream: bytes
    data: bytes


class Log:
    """The log of one container, appended to.

    path: of the file that is written to; max_size: bytes of one file, 0 for no bound; max_files: how many there are at
    most. Files are cut between entries; an entry is never longer than one chunk, so together they take no more than
    max_size times max_files and one chunk. What cannot be written is dropped, and counted in `dropped` (bytes): a full
    disk never stops a container. Only the first opening raises OSError.
    """

    def __init__(self, path: str, max_size: int = 0, max_files: int = 1) -> None:
        self.dropped = 0
        self._path, self._max_size, self._max_files = path, max_size, max_files
        self._fd, self._size = _open(path)

    @property
    def place(self) -> tuple[str, int, int]:
        """What it was made with."""
        return self._path, self._max_size, self._max_files

    def write(self, stream: bytes, chunk: bytes, now_ns: int) -> None:
        """Append one chunk of output."""
        view = memoryview(encoded := encode(stream, chunk, now_ns))
        start = 0
        try:
            while start < len(encoded):
                end = self._cut(encoded, start)
                start += self._append(view[start:end])
        except OSError:
            self.dropped += len(encoded) - start

    def close(self) -> None:
        """Close the file; can be called again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _cut(self, encoded: bytes, start: int) -> int:
        """Where what fits into the present file ends, rotating first when that is nothing."""
        if not self._max_size:
            return len(encoded)
        end = encoded.rfind(b"\n", start, start + max(0, self._max_size - self._size)) + 1
        if not end and self._size:
            self._rotate()
            end = encoded.rfind(b"\n", start, start + self._max_size) + 1
        return end or encoded.index(b"\n", start) + 1

    def _append(self, view: memoryview) -> int:
        """Write whole entries; what a failure left of one is taken back. Returns the bytes that were written."""
        written = 0
        try:
            while written < len(view):
                written += os.write(self._fd, view[written:])
        except OSError:
            whole = bytes(view[:written]).rfind(b"\n") + 1
            if whole < written:
                with suppress(OSError):
                    os.ftruncate(self._fd, self._size + whole)
            self._size += whole
            if whole:
                return whole
            raise
        self._size += written
        return written

    def _rotate(self) -> None:
        # The name is free when an earlier rotation got no further than here.
        if os.path.exists(self._path):
            if self._max_files == 1:
                os.unlink(self._path)
            else:
                free = 1
                while free < self._max_files - 1 and os.path.exists(f"{self._path}.{free}"):
                    free += 1
                for number in range(free, 1, -1):
                    os.rename(f"{self._path}.{number - 1}", f"{self._path}.{number}")
                os.rename(self._path, f"{self._path}.1")
        fd, self._size = _open(self._path)
        os.close(self._fd)
        self._fd = fd


def _open(path: str) -> tuple[int, int]:
    """The file, and its size; an entry whose writer was killed in the middle is ended."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        with suppress(OSError):
            size += os.write(fd, b"\n")
    return fd, size


def stamp(now_ns: int) -> str:
    """ "2026-11-23T12:23:41.423313329Z": as text these have the order of their times."""
    seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09}Z"


def encode(stream: bytes, chunk: bytes, now_ns: int) -> bytes:
    """The log lines for a chunk of output that was read at `now_ns` (nanoseconds since the epoch)."""
    whole, newline, rest = chunk.rpartition(b"\n")
    prefix = stamp(now_ns).encode("ascii") + b" " + stream
    out = b""
    if newline:
        full = prefix + b" F "
        out = full + whole.replace(b"\n", b"\n" + full) + b"\n"
    if rest:
        out += prefix + b" P " + rest + b"\n"
    return out


def decode(file: BinaryIO) -> Iterator[Record]:
    """Records of an open log from its present position; a line that is not whole yet ends it, unread."""
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(start)
            return
        fields = line[:-1].split(b" ", 3)
        if len(fields) == 4:
            yield Record(fields[0], fields[1], fields[3] + (b"\n" if fields[2] == b"F" else b""))
