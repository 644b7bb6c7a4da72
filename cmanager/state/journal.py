"""The journal of events: JSON lines on the tmpfs, appended by whoever did something, read by `cmanager events`.

    run_root/events/journal     the newest
    run_root/events/journal.1   what went before it
    run_root/events/lock        held alone to append, shared to open both

Each event is one write(2) to a file opened with O_APPEND. Its time is taken under the lock and is later than that of
the event before, whatever the clock does: a reader that knows the time of the last event it saw can go on from there.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, BinaryIO

from attrs import asdict, field

from ..linux import files, syscalls
from ..linux.values import frozen

#: Bytes after which the journal becomes journal.1 and what that was is forgotten.
LIMIT = 1 << 20
_TAIL = 65536
_LONGEST = 10**8  # milliseconds, below what poll(2) takes
_WATCHED = syscalls.IN_MODIFY | syscalls.IN_CREATE | syscalls.IN_MOVED_TO


@frozen
class Entry:
    """An event as it was recorded. time: nanoseconds since the epoch; the rest as in `cmanager.model.Event`."""

    time: int
    kind: str
    action: str
    id: str
    attributes: dict[str, str] = field(factory=dict)


class Journal:
    """The journal of one manager. directory: made when something is first written; limit: bytes of one file."""

    def __init__(self, directory: str, limit: int = LIMIT) -> None:
        self._directory, self._limit = directory, limit

    def append(self, kind: str, action: str, id: str, attributes: dict[str, str]) -> int:
        """Record an event; returns its time. Raises OSError; a line that did not fit whole is taken back."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        with files.locked(self._lock):
            fd = self._open(os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                now = max(time.time_ns(), (_last_time(fd) or self._last_before()) + 1)
                if os.fstat(fd).st_size >= self._limit:
                    os.rename(self._path, f"{self._path}.1")
                    os.close(fd)
                    fd = self._open(os.O_RDWR | os.O_APPEND | os.O_CREAT)
                _write(fd, _encode(Entry(now, kind, action, id, attributes)))
            finally:
                os.close(fd)
        return now

    def read(self, since: int | None = None, until: int | None = None) -> Iterator[Entry]:
        """Events in their order, those between two times (nanoseconds since the epoch, both included).

        since: None for what happens from now on; until: when to end, which may be in the future; None for never.
        """
        since = time.time_ns() if since is None else since
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        watch = syscalls.inotify_watch(self._directory, _WATCHED)
        try:
            yield from self._follow(watch, since, until)
        finally:
            os.close(watch)

    @property
    def _path(self) -> str:
        return f"{self._directory}/journal"

    @property
    def _lock(self) -> str:
        return f"{self._directory}/lock"

    def _open(self, flags: int, suffix: str = "") -> int:
        return os.open(self._path + suffix, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def _last_before(self) -> int:
        try:
            fd = self._open(os.O_RDONLY, ".1")
        except FileNotFoundError:
            return 0
        try:
            return _last_time(fd)
        finally:
            os.close(fd)

    def _files(self, stack: ExitStack) -> list[BinaryIO]:
        """Both files, the older first, as they were at one moment."""
        found: list[BinaryIO] = []
        with files.locked(self._lock, shared=True):
            for suffix in (".1", ""):
                with suppress(FileNotFoundError):
                    found.append(stack.enter_context(os.fdopen(self._open(os.O_RDONLY, suffix), "rb")))
        return found

    def _follow(self, watch: int, since: int, until: int | None) -> Iterator[Entry]:
        poller = select.poll()
        poller.register(watch, select.POLLIN)
        while True:
            with ExitStack() as stack:
                opened = self._files(stack)
                while True:
                    for entry in (entry for file in opened for entry in _decode(file) if entry.time >= since):
                        if until is not None and entry.time > until:
                            return
                        since = entry.time + 1
                        yield entry
                    if not self._is_newest(opened):
                        break  # read to its end, and another file has taken its place
                    left = _LONGEST if until is None else min((until - time.time_ns()) / 1e6, _LONGEST)
                    if left <= 0:
                        return
                    if poller.poll(left):
                        os.read(watch, _TAIL)

    def _is_newest(self, opened: list[BinaryIO]) -> bool:
        for path in (self._path, f"{self._path}.1"):
            with suppress(FileNotFoundError):
                newest = os.stat(path).st_ino
                return bool(opened) and os.fstat(opened[-1].fileno()).st_ino == newest
        return not opened


def _encode(entry: Entry) -> bytes:
    # ASCII, so that an odd byte of an argument cannot break the line.
    return json.dumps(asdict(entry), separators=(",", ":")).encode("ascii") + b"\n"


def _decode(file: BinaryIO) -> Iterator[Entry]:
    """Entries from the file's present position; a line that is not whole yet ends it, unread; a broken one is left
    out."""
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(start)
            return
        entry = _entry(line)
        if entry:
            yield entry


def _entry(line: bytes) -> Entry | None:
    try:
        data: Any = json.loads(line)
        attributes = {str(key): str(value) for key, value in data["attributes"].items()}
        return Entry(int(data["time"]), str(data["kind"]), str(data["action"]), str(data["id"]), attributes)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _last_time(fd: int) -> int:
    """Time of the last whole event, 0 when there is none in the last 64 KiB."""
    size = os.fstat(fd).st_size
    for line in reversed(os.pread(fd, _TAIL, max(0, size - _TAIL)).split(b"\n")):
        entry = _entry(line)
        if entry:
            return entry.time
    return 0


def _write(fd: int, line: bytes) -> None:
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        line = b"\n" + line  # its writer was killed in the middle
    if os.write(fd, line) != len(line):
        os.ftruncate(fd, size)
        raise OSError(28, "no space left on device")
