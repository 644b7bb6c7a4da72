"""The syslog sink: RFC 5424 messages, to a unix socket (/dev/log) or by UDP (RFC 5426)."""

from __future__ import annotations

import socket

from ...errors import InvalidError, NotFoundError
from ..log import stamp
from . import datagrams
from .datagrams import Datagrams
from .lines import Line
from .sink import Source

#: Facility daemon (3), severity informational (6) or error (3): PRI = facility * 8 + severity (section 6.2.1).
_PRIORITIES = {b"stdout": 30, b"stderr": 27}


class SyslogSink(Datagrams):
    """One message a line: APP-NAME is the container's name, PROCID its short id.

    target: "unix:PATH" or "udp:HOST:PORT"; a host's name is looked up here and never again. Raises as `address`.
    """

    def __init__(self, target: str, source: Source) -> None:
        super().__init__(*address(target))
        host = "".join(c for c in socket.gethostname() if "!" <= c <= "~")[:255] or "-"
        self._about = f" {host} {source.name[:48]} {source.id[:12]} - - ".encode()

    def encode(self, line: Line) -> bytes:
        # TIME-SECFRAC has six digits at most (section 6.2.3).
        when = f"<{_PRIORITIES[line.stream]}>1 {stamp(line.time)[:26]}Z"
        return when.encode() + self._about + line.data.removesuffix(b"\n")


def address(target: str) -> tuple[int, object]:
    """Family and address. InvalidError for what is no target, NotFoundError for a host that has no address."""
    word, _, rest = target.partition(":")
    if word == "unix" and rest.startswith("/"):
        return socket.AF_UNIX, rest
    host, _, port = rest.rpartition(":")
    if word != "udp" or not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidError(f"invalid log sink syslog:{target}, expected unix:/PATH or udp:HOST:PORT")
    host = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise NotFoundError(f"cannot log to syslog at {host}: {str(error).lower()}, give its address") from None
    return found[0][0], found[0][4]


def check(target: str) -> None:
    """Refuse a target that is none, and a unix socket at which nobody listens."""
    family, where = address(target)
    if family == socket.AF_UNIX:
        datagrams.check("syslog", str(where))
