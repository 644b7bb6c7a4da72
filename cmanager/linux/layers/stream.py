"""Streams of bytes with a position; one kind is produced and hashed ahead of its reader."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterator

from ...errors import CorruptError

BLOCK = 512
_AHEAD = 4


class Stream:
    """The pieces of an iterator as one stream with a position and, at its end, a digest.

    A helper thread runs the iterator (which inflates) and SHA-256; both leave the GIL, so they cost the reader no time
    on a second core. At most six pieces are in memory. `close` ends the thread; use it as a context manager. What the
    iterator raises is raised again by whichever method reads next.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(_AHEAD)
        self._hash = hashlib.sha256()
        self._stopped = False
        self._piece = b""
        self._at = 0
        self._before = 0
        self._ended = False
        self._thread = threading.Thread(target=self._pump, name="inflate", daemon=True)
        self._thread.start()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def position(self) -> int:
        """Bytes that were read or skipped."""
        return self._before + self._at

    def block(self) -> bytes:
        """The next 512 bytes, or b"" at the end; CorruptError when the stream ends inside them."""
        start = self._at
        end = start + BLOCK
        piece = self._piece
        if end <= len(piece):
            self._at = end
            return piece[start:end]
        if start == len(piece) and not self._next():
            return b""
        return self.read(BLOCK)

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes; CorruptError when there are fewer."""
        return b"".join(self.views(size))

    def views(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes without copying them; CorruptError when there are fewer."""
        while size:
            if self._at == len(self._piece) and not self._next():
                raise CorruptError(f"the archive is cut short, {size} bytes are missing")
            start = self._at
            self._at = min(start + size, len(self._piece))
            size -= self._at - start
            yield memoryview(self._piece)[start : self._at]

    def skip(self, size: int) -> None:
        """Pass over `size` bytes; CorruptError when there are fewer."""
        end = self._at + size
        if end <= len(self._piece):
            self._at = end
            return
        for _ in self.views(size):
            continue

    def finish(self) -> str:
        """Read to the end; the SHA-256 of the whole stream as hex digits."""
        while self._next():
            continue
        self._at = len(self._piece)
        return self._hash.hexdigest()

    def close(self) -> None:
        """End the helper thread; what it holds is closed with it."""
        self._stopped = True
        # After this the queue has room for the one piece that the thread may still put before it sees the flag.
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            self._thread.join()

    def _next(self) -> bool:
        if self._ended:
            return False
        item = self._queue.get()
        if isinstance(item, BaseException):
            self._ended = True
            raise item
        if not item:
            self._ended = True
            return False
        self._before += len(self._piece)
        self._piece = item
        self._at = 0
        return True

    def _pump(self) -> None:
        pieces = self._pieces
        try:
            for piece in pieces:
                self._hash.update(piece)
                self._queue.put(piece)
                if self._stopped:
                    break
            else:
                self._queue.put(b"")
        except BaseException as error:
            self._queue.put(error)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()


class Direct(Stream):
    """The same on the reader's own thread and without a digest: for pipes, whose other end may keep silent."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0
        self._before = 0
        self._ended = False

    def finish(self) -> str:
        """Read to the end; no digest."""
        while self._next():
            continue
        self._at = len(self._piece)
        return ""

    def close(self) -> None:
        """Nothing is held."""

    def _next(self) -> bool:
        if self._ended:
            return False
        item = next(self._pieces, b"")
        self._ended = not item
        if item:
            self._before += len(self._piece)
            self._piece = item
            self._at = 0
        return bool(item)
