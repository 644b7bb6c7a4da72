"""What syslog and journald have in common: a datagram socket, a message in each datagram."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from ...errors import NotFoundError, UnsupportedError

#: Room for messages that a receiver has not read yet.
_BUFFER = 1 << 20


class Datagrams:
    """A way to one receiver. family: AF_UNIX, AF_INET or AF_INET6; address: as the family has it."""

    def __init__(self, family: int, address: Any) -> None:
        self._family, self._address = family, address

    def open(self) -> int:
        """A connected, non-blocking socket. OSError when nobody is there, as far as that can be known."""
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with socket.socket(self._family, kind) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            end.connect(self._address)
            return end.detach()

    def send(self, fd: int, message: memoryview) -> int:
        """Send one message whole; OSError as `cmanager.supervisor.sinks.Sink.send`."""
        try:
            return os.write(fd, message)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise BlockingIOError from None  # packet(7): the queue of the interface is full
            raise


def check(what: str, path: str) -> None:
    """Refuse a unix socket at which nobody listens. what: for the error's text."""
    try:
        os.close(Datagrams(socket.AF_UNIX, path).open())
    except FileNotFoundError:
        raise NotFoundError(f"cannot log to {what}: there is no socket {path}, is it running here?") from None
    except OSError as error:
        why = f"{(error.strerror or str(error)).lower()} (errno {error.errno})"
        raise UnsupportedError(f"cannot log to {what} at {path}: {why}, expected a datagram socket") from None
