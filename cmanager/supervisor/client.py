"""The supervisor's end of one attached command."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from ..linux import syscalls
from .attach import CHUNK, EXIT, NEWS


class Client:
    """Packets wait in a queue until the command has room for them. `waiting` tells that some do.

    Whoever feeds it stops while something waits, so the queue holds what one round of output is at most.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.end = end
        self._queue: deque[bytes] = deque()

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    def give(self, packet: bytes) -> bool:
        """Send, or keep for later; False when the command is gone."""
        self._queue.append(packet)
        return self.flush()

    def flush(self) -> bool:
        """Send what there is room for; False when the command is gone."""
        try:
            while self._queue:
                self.end.send(self._queue[0])
                self._queue.popleft()
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def take_all(self) -> None:
        """Throw away what it sent: closed with unread input, a socket drops its last packets (unix(7))."""
        with suppress(OSError):
            self.end.shutdown(socket.SHUT_RD)
            while self.end.recv(CHUNK + 1):
                continue

    def finish(self) -> None:
        """Wait until it has everything."""
        self.end.setblocking(True)
        self.flush()


def part(clients: list[Client], exit_code: int, news: Sequence[bytes] = ()) -> None:
    """Tell commands how it ended and close their sockets, without waiting for any of them.

    news: what to tell them before (attach.NEWS). One that reads slowly, or does not for now, gets the rest
    from a process of its own.
    """
    late = []
    for client in clients:
        client.take_all()
        for told in news:
            client.give(NEWS + told)
        if client.give(EXIT + b"%d" % exit_code) and client.waiting:
            late.append(client)
    if late and _forked():
        # Nothing of ours but these: whoever reads slowly must not keep the container's lock.
        syscalls.close_all_but(*(client.end.fileno() for client in late))
        for client in late:
            client.finish()
        os._exit(0)
    for client in clients:
        client.end.close()


def _forked() -> bool:
    """True in a process that nobody waits for; False in the caller, also when there is none to be had."""
    try:
        middle = os.fork()
        if middle == 0 and os.fork():
            os._exit(0)
    except OSError:
        return False
    if middle:
        os.waitpid(middle, 0)
    return middle == 0
