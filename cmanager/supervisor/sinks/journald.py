"""The journald sink: systemd's native journal protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

from __future__ import annotations

import socket

from ..log import stamp
from .datagrams import Datagrams
from .lines import Line
from .sink import Source

SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = {b"stdout": b"6", b"stderr": b"3"}


class JournaldSink(Datagrams):
    """One entry a line, with the fields that Docker writes."""

    def __init__(self, path: str, source: Source) -> None:
        super().__init__(socket.AF_UNIX, path)
        about = {
            "CONTAINER_ID": source.id[:12],
            "CONTAINER_ID_FULL": source.id,
            "CONTAINER_NAME": source.name,
            "IMAGE_NAME": source.image,
            "SYSLOG_IDENTIFIER": source.name,
        }
        self._about = b"".join(_field(key, value.encode()) for key, value in about.items())

    def encode(self, line: Line) -> bytes:
        when = _field("SYSLOG_TIMESTAMP", stamp(line.time).encode())
        piece = b"" if line.whole else _field("CONTAINER_PARTIAL_MESSAGE", b"true")
        level = _field("PRIORITY", _PRIORITIES[line.stream])
        return _field("MESSAGE", line.data.removesuffix(b"\n")) + level + self._about + when + piece


def _field(name: str, value: bytes) -> bytes:
    """With its length, which is right for every value."""
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
