"""Reading a container's log."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import NotFoundError
from ..linux import syscalls
from ..linux.process import Process
from ..model.container import Container
from ..supervisor.log import Record, stamp
from .logfiles import LogFiles

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Record", "attributes", "read"]

_WATCHED = syscalls.IN_MODIFY | syscalls.IN_CREATE | syscalls.IN_MOVED_TO
_LONGEST = 10**8  # milliseconds, below what poll(2) takes
_NEVER = 253402300799 * 10**9  # the last second that four digits of a year can tell


def read(
    container: Container, path: str, *, follow: bool, tail: int | None, since: int | None, until: int | None
) -> Iterator[Record]:
    """Records of a container's log, oldest first. Raises NotFoundError when it keeps none, HostError.

    path: of the file that is written to; follow: go on until its supervisor ends; tail: the last so many lines; since,
    until: nanoseconds since the epoch, both included.
    """
    if not container.request.log.enabled:
        raise NotFoundError(f"container {container.name} keeps no log: it was made with --log-driver none")
    supervisor = container.status.supervisor if follow else None
    return _records(path, supervisor, tail, _bound(since or 0), until)


def attributes(engine: Engine, word: str) -> dict[str, str]:
    """The labels and variables that a container's log shows with every line: --log-opt labels and env."""
    container = engine.inspect(word)
    image = engine.image_of(container)
    env = (*(image.config.env if image else ()), *container.request.env)
    return container.request.log.attributes(container.request.labels, env)


def _records(
    path: str, supervisor: Process | None, tail: int | None, since: bytes, until: int | None
) -> Iterator[Record]:
    last = _bound(_NEVER if until is None else until)
    files = LogFiles(path)
    try:
        # A clock that was set back leaves records out of order: all are looked at.
        present = (record for record in files.records() if since <= record.time <= last)
        yield from _last_lines(present, tail) if tail is not None else present
        if supervisor:
            for record in _follow(files, os.path.dirname(path), supervisor, until):
                if record.time > last:
                    return
                if record.time >= since:
                    yield record
    finally:
        files.close()


def _bound(nanoseconds: int) -> bytes:
    return stamp(min(nanoseconds, _NEVER)).encode()


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


def _follow(files: LogFiles, directory: str, supervisor: Process, until: int | None) -> Iterator[Record]:
    try:
        # The directory, not a file: a rotation makes new ones.
        watch = syscalls.inotify_watch(directory, _WATCHED)
    except FileNotFoundError:
        yield from files.records()  # removed meanwhile
        return
    try:
        try:
            gone = os.pidfd_open(supervisor.pid)
        except ProcessLookupError:
            yield from files.records()
            return
        try:
            poller = select.poll()
            for fd in (watch, gone):
                poller.register(fd, select.POLLIN)
            ended = not supervisor.alive()
            while True:
                yield from files.records()
                left = _LONGEST if until is None else min((until - time.time_ns()) / 1e6, _LONGEST)
                if ended or left < 0:
                    return
                for fd, _ in poller.poll(left):
                    if fd == gone:
                        ended = True
                    else:
                        os.read(watch, 65536)
        finally:
            os.close(gone)
    finally:
        os.close(watch)
