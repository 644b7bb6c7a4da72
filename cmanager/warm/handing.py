"""A worker's side of a caller at a terminal: what is typed is read by the client alone, so job control is the kernel's.

Packets to the client: `a` the numbers that say how, the detach keys, and the attach socket: it moves the streams; `r`
and a size: it reads. From it: `s` a signal for the program, `u` news of the supervisor; then `x` its exit code, `l`
nobody knows it, `d` the detach keys were typed, `e` an error's text. To `r`: `d` data, `e` an errno.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable

from ..errors import CmanagerError
from ..supervisor import moving
from ..supervisor.keys import Detached
from ..supervisor.moving import How


class Hands:
    """Moves the streams of attached programs (`supervisor.moving.Mover`); at a terminal it has the client do it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def __call__(
        self, end: socket.socket, how: How, send: Callable[[int], None], told: Callable[[bytes], None]
    ) -> int | None:
        if how.stdin < 0 or not os.isatty(how.stdin):
            return moving.move(end, how, send, told)
        numbers = (how.tty, how.late, how.forward, how.stdin, how.stdout, how.stderr)
        words = b" ".join(b"%d" % number for number in numbers)
        socket.send_fds(self._connection, [b"a" + words + b" " + how.detach_keys], [end.fileno()])
        end.close()
        while packet := self._connection.recv(1 << 16):
            kind, rest = packet[:1], packet[1:]
            if kind == b"s":
                send(int(rest))
            elif kind == b"u":
                told(rest)
            elif kind == b"x":
                return int(rest)
            elif kind == b"d":
                raise Detached
            elif kind == b"e":
                raise CmanagerError(rest.decode())
            else:
                return None
        raise SystemExit(129)  # the client has gone, and takes us along


class Typed(io.RawIOBase):
    """The stdin of a worker whose caller is at a terminal: the client reads it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def text(self, encoding: str, errors: str) -> io.TextIOWrapper:
        """It as `sys.stdin`."""
        return io.TextIOWrapper(io.BufferedReader(self), encoding, errors)

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0

    def isatty(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        self._connection.send(b"r%d" % min(len(buffer), 1 << 15))
        answer = self._connection.recv(1 << 16)
        if answer[:1] == b"e":
            raise OSError(int(answer[1:]), os.strerror(int(answer[1:])))
        data = answer[1:]
        buffer[: len(data)] = data
        return len(data)
