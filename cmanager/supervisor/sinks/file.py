"""Sinks that are files of the host: plain text, or lines of JSON as Docker writes them. A FIFO or a device will do."""

from __future__ import annotations

import base64
import json
import os
import stat
from typing import Any

from ...errors import InvalidError, NotFoundError, UnsupportedError
from ..log import stamp
from .lines import Line
from .sink import Source


class FileSink:
    """Both streams as they came, line by line."""

    def __init__(self, path: str) -> None:
        self._path = path

    def encode(self, line: Line) -> bytes:
        return line.data

    def open(self) -> int:
        # A FIFO that nobody reads is ENXIO (fifo(7)): what is in a pipe without a reader would be lost uncounted.
        return os.open(
            self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o600
        )

    def send(self, fd: int, message: memoryview) -> int:
        return os.write(fd, message)


class JsonSink(FileSink):
    """Docker's json-file: `log`, `stream`, `time`, and `attrs` where any were asked for.

    A line that is not UTF-8 has U+FFFD for what is none, and `bytes`: all of it in base64.
    """

    def __init__(self, path: str, source: Source) -> None:
        super().__init__(path)
        self._attributes = {"attrs": source.attributes} if source.attributes else {}

    def encode(self, line: Line) -> bytes:
        entry: dict[str, Any] = {"stream": line.stream.decode(), **self._attributes, "time": stamp(line.time)}
        try:
            entry = {"log": line.data.decode(), **entry}
        except UnicodeDecodeError:
            exact = base64.b64encode(line.data).decode()
            entry = {"log": line.data.decode("utf-8", "replace"), **entry, "bytes": exact}
        return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def check(path: str) -> None:
    """Refuse a path that cannot become a log; makes nothing."""
    if not path.startswith("/"):
        raise InvalidError(f"invalid log sink {path!r}, the path must be absolute")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            raise NotFoundError(f"cannot log to {path}: there is no directory {directory}, make it first") from None
        if path.endswith("/"):
            raise InvalidError(f"cannot log to {path}: it is a directory, name a file in it") from None
        path, mode = directory, stat.S_IFREG
    except OSError as error:
        raise UnsupportedError(f"cannot log to {path}: {(error.strerror or '').lower()}") from None
    if stat.S_ISDIR(mode):
        raise InvalidError(f"cannot log to {path}: it is a directory, name a file in it")
    if stat.S_ISSOCK(mode):
        raise InvalidError(f"cannot log to {path}: it is a socket, try syslog:unix:{path}")
    if not os.access(path, os.W_OK):
        raise UnsupportedError(f"cannot log to {path}: it cannot be written to")
