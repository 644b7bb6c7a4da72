"""What a client sends: its arguments, its environment and its descriptors (client.py writes it)."""

from __future__ import annotations

import _socket
import array
import errno
import os
import socket

from ..linux.values import frozen
from .client import VERSION

_MOST = 16 << 20  # more than execve(2) takes
_RIGHTS = 256
_SO_PEERPIDFD = 77  # since Linux 6.5


class Refused(Exception):
    """This server cannot stand in for the caller. leave: nor for others like it, but a new one could."""

    def __init__(self, why: str, leave: bool = False) -> None:
        super().__init__(why)
        self.leave = leave


@frozen
class Request:
    """One command line.

    pid: of the client; name, arguments: as in its argv; environment: of bytes; encoding: what the caller's interpreter
    takes the file system's and its streams' encoding for, and what it does with what does not fit into them;
    numbers: the caller's descriptors, in order; fds: the same here; lifeline: a pipe that ends with the client;
    began, asked: when its command began and when it asked for a worker, in nanoseconds of the monotonic clock.
    """

    pid: int
    name: str
    arguments: tuple[str, ...]
    environment: dict[bytes, bytes]
    encoding: str
    numbers: tuple[int, ...]
    fds: tuple[int, ...]
    lifeline: int
    began: int = 0
    asked: int = 0


def peer(connection: _socket.socket) -> tuple[int, int]:
    """Pid and user id of who connected (SO_PEERCRED)."""
    found = array.array("i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return found[0], found[1]


def handle(connection: _socket.socket) -> int:
    """A pidfd of who connected, so that nobody else is taken for him who gets his number; the caller closes it.

    Raises OSError when he has ended.
    """
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
    return os.pidfd_open(peer(connection)[0])


def receive(connection: socket.socket) -> Request:
    """Read a request; its descriptors are ours from here on. Raises Refused, and EOFError when the client has left."""
    first, lifeline, *fds = _begin(connection)
    data = b""
    while len(data) < first:
        chunk = connection.recv(1 << 16)
        if not chunk:
            raise EOFError
        data += chunk
    version, _, rest = data.partition(b"\0")
    if version.decode() != VERSION:
        raise Refused("it is of another version", leave=True)
    since, numbers, encoding, name, count, *words = rest.split(b"\0")
    began, asked = map(int, since.split())
    end = int(count)
    return Request(
        pid=peer(connection)[0],
        name=os.fsdecode(name),
        arguments=tuple(map(os.fsdecode, words[:end])),
        environment=dict(_pair(item) for item in words[end:]),
        encoding=encoding.decode(),
        numbers=tuple(map(int, numbers.split())),
        fds=tuple(fds),
        lifeline=lifeline,
        began=began,
        asked=asked,
    )


def _begin(connection: socket.socket) -> tuple[int, ...]:
    length, fds, _, _ = socket.recv_fds(connection, 64, _RIGHTS, socket.MSG_CMSG_CLOEXEC)
    if not length:
        raise EOFError
    size = int(length)
    if size > _MOST or len(fds) < 4:
        raise Refused(f"it sent {size} bytes and {len(fds)} descriptors")
    return size, *fds


def _pair(item: bytes) -> tuple[bytes, bytes]:
    key, _, value = item.partition(b"=")
    return key, value
