"""The log: one line per line of output, `TIME stdout|stderr F|P TEXT`.

TIME is RFC 3339 in UTC with nanoseconds; F ends a line, P is a piece without its newline yet. Bytes are kept as they
came, NUL and invalid UTF-8 included, so that what went in comes out.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple


class Record(NamedTuple):
    """One entry. time: as written; stream: b"stdout" or b"stderr"; data: bytes with the newline, if it had one."""

    time: bytes
    stream: bytes
    data: bytes


class Log:
    """The log file of one container, appended to.

    What cannot be written is dropped, and counted in `dropped` (bytes): a full disk never stops a container.
    """

    def __init__(self, path: str) -> None:
        self.dropped = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, stream: bytes, chunk: bytes, now_ns: int) -> None:
        """Append one chunk of output; raises OSError for what is no lack of space."""
        view = memoryview(encode(stream, chunk, now_ns))
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
                raise
            self.dropped += len(view)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def encode(stream: bytes, chunk: bytes, now_ns: int) -> bytes:
    """The log lines for a chunk of output that was read at `now_ns` (nanoseconds since the epoch)."""
    seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09}Z "
    whole, newline, rest = chunk.rpartition(b"\n")
    prefix = stamp.encode("ascii") + stream
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
