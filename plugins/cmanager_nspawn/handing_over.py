"""The moment when systemd-nspawn has started the program, and has not yet looked how it ended.

As the program's parent it would reap it, and report an exit code that says nothing of most signals, 0 for SIGINT and
133 for SIGHUP. It tells of its steps by datagrams (sd_notify(3)): first the pid of the container's first process, as
soon as that goes on to execute the program, then that it is ready, and only then it waits. A datagram to a socket whose
queue is full blocks its sender (unix(7)), so a queue that has room for one holds it between the two. Killed there it
leaves its child to the supervisor, which is the next subreaper above, with the exit status still to be had.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
from contextlib import suppress

_LEADER = re.compile(rb"^X_NSPAWN_LEADER_PID=(\d+)$", re.MULTILINE)
_SO_SNDBUFFORCE = 32  # include/uapi/asm-generic/socket.h
_ENOUGH = 16 << 20  # bytes; the queue is to be full before the sender's buffer is


class Inbox:
    """The socket at `path`, where systemd-nspawn sends to. Raises OSError."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(path)
        self._events = select.epoll()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as filler:
            filler.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _ENOUGH)
            filler.connect(path)
            with suppress(BlockingIOError):
                while True:
                    filler.send(b"full")
        self._socket.recv(16)
        # One event for each arrival: there is always something to read.
        self._events.register(self._socket, select.EPOLLIN | select.EPOLLET)
        self._events.poll(0)

    def take(self, pid: int) -> tuple[int, int]:
        """Wait for the first word of systemd-nspawn, a child with this pid, then kill and reap it.

        Returns the pid of the container's first process, now a child of the caller, a subreaper, and 0; or 0 and the
        exit code of systemd-nspawn when it ended without having made one.
        """
        pidfd = os.pidfd_open(pid)
        try:
            self._events.register(pidfd, select.EPOLLIN)
            self._events.poll()
        finally:
            os.close(pidfd)
        os.kill(pid, signal.SIGKILL)  # it is not reaped yet, so the number is its own
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(BlockingIOError):
            while True:
                if found := _LEADER.search(self._socket.recv(4096)):
                    return int(found[1]), 0
        return 0, code

    def close(self) -> None:
        """The path is the caller's to remove."""
        self._events.close()
        self._socket.close()
