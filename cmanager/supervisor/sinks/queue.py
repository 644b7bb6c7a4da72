"""The bounded queue in front of a sink."""

from __future__ import annotations

import errno
import os
import time
from collections import deque

from ...model.log import Dropped
from .lines import Line
from .sink import Sink

#: Bytes that may wait for a receiver, and what a message costs beyond its own.
LIMIT, OVERHEAD = 1 << 20, 128
#: Seconds until a receiver that has failed is tried again.
PAUSE = 0.5
#: The receiver is there and will have room again: the message goes on where it stopped.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Queue:
    """Holds what a sink has not taken yet; what does not fit is dropped and counted. Nothing here waits or raises."""

    def __init__(self, sink: Sink, limit: int = LIMIT) -> None:
        self._sink, self._limit = sink, limit
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._size = self._offset = 0
        self._fd = -1
        self._blocked = False
        self._again_at = 0.0
        self._lines = self._bytes = 0
        #: Bytes that were handed over so far.
        self.passed = 0

    @property
    def dropped(self) -> Dropped:
        """What was dropped so far."""
        return Dropped(self._lines, self._bytes)

    @property
    def empty(self) -> bool:
        """Whether everything has been handed over."""
        return not self._waiting

    @property
    def wanted(self) -> int:
        """The descriptor that must become writable before it goes on, -1 for none."""
        return self._fd if self._blocked else -1

    @property
    def due(self) -> float | None:
        """When to `flush` again (time.monotonic), None for no certain time."""
        return self._again_at if self._waiting and not self._blocked else None

    def put(self, line: Line) -> None:
        """Take one line; `flush` hands it over."""
        message = self._sink.encode(line)
        cost = len(message) + OVERHEAD
        if self._size + cost > self._limit:
            self.flush()  # a receiver that is quick enough loses nothing, however much comes at once
            if self._size + cost > self._limit:
                self._drop(len(line.data))
                return
        self._size += cost
        self._waiting.append((message, len(line.data)))

    def writable(self) -> None:
        """The descriptor that was wanted is writable, or broken."""
        self._blocked = False
        self._again_at = 0.0
        self.flush()

    def flush(self) -> None:
        """Hand over what the receiver takes now."""
        if not self._waiting or self._blocked or time.monotonic() < self._again_at:
            return
        try:
            if self._fd < 0:
                self._fd = self._sink.open()
            while self._waiting:
                self._send()
        except BlockingIOError:
            self._blocked = self._fd >= 0
            self._again_at = time.monotonic() + PAUSE
        except OSError as error:
            self._again_at = time.monotonic() + PAUSE
            if error.errno not in _FULL:
                self._disconnect()

    def resume(self, messages: list[tuple[bytes, int]]) -> None:
        """The receiver has ended: begin anew with these messages that it has not read, each with its line's bytes."""
        self._disconnect()
        self._waiting.extendleft(reversed(messages))
        self._size += sum(len(message) + OVERHEAD for message, _ in messages)

    def close(self) -> None:
        """What is waiting still is dropped; the descriptor is closed."""
        while self._waiting:
            self._drop(self._take())
        self._disconnect()

    def _send(self) -> None:
        message = self._waiting[0][0]
        try:
            taken = self._sink.send(self._fd, memoryview(message)[self._offset :])
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self._drop(self._take())  # it would never go
            return
        self._offset += taken
        self.passed += taken
        if self._offset >= len(message):
            self._take()

    def _take(self) -> int:
        message, length = self._waiting.popleft()
        self._size -= len(message) + OVERHEAD
        self._offset = 0
        return length

    def _drop(self, length: int) -> None:
        self._lines += 1
        self._bytes += length

    def _disconnect(self) -> None:
        """The next receiver begins with a whole message."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._offset, self._blocked = -1, 0, False
