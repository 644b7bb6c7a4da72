"""Reading a container's log."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from ..errors import HostError
from ..linux import syscalls
from ..linux.process import Process
from ..supervisor.log import Record, decode

__all__ = ["Record", "read"]


def read(
    path: str, follow: Process | None, *, tail: int | None, since: float | None, until: float | None
) -> Iterator[Record]:
    """Records of the log at `path`.

    follow: the supervisor whose end ends the reading, None to stop at the present end; tail: the last so many lines;
    since, until: epoch seconds.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by _records
    except FileNotFoundError:
        return iter(())
    except OSError as error:
        raise HostError.of("read the log", path, error) from None
    return _records(file, path, follow, tail, since, until)


def _records(
    file: BinaryIO, path: str, follow: Process | None, tail: int | None, since: float | None, until: float | None
) -> Iterator[Record]:
    with file:
        present = (r for r in decode(file) if (since is None or _epoch(r) >= since))
        wanted = _last_lines(present, tail) if tail is not None else present
        for record in wanted:
            if until is not None and _epoch(record) > until:
                return
            yield record
        if follow:
            for record in _follow(file, path, follow):
                if until is not None and _epoch(record) > until:
                    return
                yield record


def _last_lines(records: Iterator[Record], count: int) -> list[Record]:
    """The records of the last `count` lines; the pieces of one line count once."""
    lines: deque[list[Record]] = deque(maxlen=count)
    open_lines: dict[bytes, list[Record]] = {}
    for record in records:
        line = open_lines.pop(record.stream, None)
        if line is None:
            line = []
            lines.append(line)
        line.append(record)
        if not record.data.endswith(b"\n"):
            open_lines[record.stream] = line
    return [record for line in lines for record in line]


def _follow(file: BinaryIO, path: str, supervisor: Process) -> Iterator[Record]:
    watch = syscalls.inotify_watch(path, syscalls.IN_MODIFY)
    try:
        try:
            gone = os.pidfd_open(supervisor.pid)
        except ProcessLookupError:
            yield from decode(file)
            return
        try:
            poller = select.poll()
            for fd in (watch, gone):
                poller.register(fd, select.POLLIN)
            ended = not supervisor.alive()
            while True:
                yield from decode(file)
                if ended:
                    return
                for fd, _ in poller.poll():
                    if fd == gone:
                        ended = True
                    else:
                        os.read(watch, 65536)
        finally:
            os.close(gone)
    finally:
        os.close(watch)


def _epoch(record: Record) -> float:
    stamp = record.time.decode("ascii")
    return datetime.fromisoformat(stamp[:26] + "+00:00").timestamp()
