"""From chunks of output to lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

#: Longest piece of a line, as in Docker's logs: one always fits into a datagram.
LONGEST = 16 << 10


class Line(NamedTuple):
    """One line, or a piece of a long one. stream: b"stdout" or b"stderr"; time: nanoseconds since the epoch.

    data: at most LONGEST bytes, with the newline where it ends a line.
    """

    stream: bytes
    data: bytes
    time: int

    @property
    def whole(self) -> bool:
        """Whether the line ends here."""
        return self.data.endswith(b"\n")


class Lines:
    """Puts the lines of both streams together; what is held back of each is shorter than LONGEST."""

    def __init__(self) -> None:
        self._begun: dict[bytes, tuple[bytes, int]] = {}

    def add(self, stream: bytes, chunk: bytes, now_ns: int) -> Iterator[Line]:
        """The lines that this chunk ends, and the pieces of those that grow too long."""
        begun, _ = self._begun.pop(stream, (b"", 0))
        *whole, rest = (begun + chunk).split(b"\n")
        for text in whole:
            data = text + b"\n"
            for start in range(0, len(data), LONGEST):
                yield Line(stream, data[start : start + LONGEST], now_ns)
        end = len(rest) - len(rest) % LONGEST
        for start in range(0, end, LONGEST):
            yield Line(stream, rest[start : start + LONGEST], now_ns)
        if rest[end:]:
            self._begun[stream] = (rest[end:], now_ns)

    def rest(self) -> Iterator[Line]:
        """What was begun and will not be ended."""
        while self._begun:
            stream, (data, now_ns) = self._begun.popitem()
            yield Line(stream, data, now_ns)
