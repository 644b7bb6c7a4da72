"""The container's pipes, its log, and the client that may be attached."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from contextlib import suppress

from ..model.runtime import Stdio
from . import log
from .attach import CHUNK, EXIT, STDERR, STDIN, STDOUT

_STREAMS = {STDOUT: b"stdout", STDERR: b"stderr"}


class Streams:
    """Owns the manager's ends of stdin, stdout and stderr, the log file, and the client's socket.

    interactive: whether stdin is a pipe that the client feeds; otherwise it is /dev/null. A client that reads slowly
    slows the container down, as a pipe would; a client that is gone is forgotten; a log that cannot be written is
    dropped and counted in `dropped` (bytes).
    """

    def __init__(self, log_path: str, client: socket.socket | None, *, interactive: bool) -> None:
        self.dropped = 0
        self._log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._client = client
        if client:
            client.setblocking(False)
        self._packet = b""  # for the client, which had no room for it
        self._input = b""  # for the container, which has not read it
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._outputs = {out_read: STDOUT, err_read: STDERR}
        self._stdin = -1
        if interactive:
            stdin, self._stdin = os.pipe()
            os.set_blocking(self._stdin, False)
        else:
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.stdio = Stdio(stdin, out_write, err_write)
        for fd in self._outputs:
            os.set_blocking(fd, False)

    def given(self) -> None:
        """Close the container's ends, after the runtime has passed them on."""
        for fd in (self.stdio.stdin, self.stdio.stdout, self.stdio.stderr):
            os.close(fd)

    def until_end(self, init: int) -> None:
        """Move data until the process with this pid has ended and what it wrote has been read."""
        pidfd = os.pidfd_open(init)
        try:
            while pidfd not in (ready := self._wait(pidfd)):
                self._serve(ready)
            # Its pid namespace died with it; with a shared one others may hold the pipes: take what is there.
            for fd in list(self._outputs):
                while fd in self._outputs and self._read(fd):
                    self._flush_client(wait=True)
        finally:
            os.close(pidfd)

    def finish(self, exit_code: int) -> None:
        """Tell the client how it ended, and close everything."""
        if self._client:
            # unix(7): closing with unread input resets the connection, and the last packet would be lost with it.
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RD)
                while self._client.recv(CHUNK + 1):
                    continue
            self._client.setblocking(True)
            with suppress(OSError):
                self._client.send(EXIT + b"%d" % exit_code)
            self._client.close()
        for fd in (*self._outputs, self._log, self._stdin):
            if fd >= 0:
                os.close(fd)
        self._outputs = {}

    def _wait(self, pidfd: int) -> dict[int, int]:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not self._packet:
            for fd in self._outputs:
                poller.register(fd, select.POLLIN)
        if self._client:
            wanted = select.POLLOUT if self._packet else 0
            poller.register(self._client, wanted | (0 if self._input else select.POLLIN))
        if self._input:
            poller.register(self._stdin, select.POLLOUT)
        return dict(poller.poll())

    def _serve(self, ready: dict[int, int]) -> None:
        if self._client and (events := ready.get(self._client.fileno())):
            if events & select.POLLOUT:
                self._flush_client()
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR) and not self._input:
                self._read_client()
        if self._stdin in ready:
            self._flush_input()
        for fd in list(self._outputs):
            if fd in ready and not self._packet:
                self._read(fd)

    def _read(self, fd: int) -> bool:
        """Take one chunk of output; False when there is none now or ever."""
        try:
            chunk = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            del self._outputs[fd]
            os.close(fd)
            return False
        kind = self._outputs[fd]
        self._write_log(log.encode(_STREAMS[kind], chunk, time.time_ns()))
        if self._client:
            self._packet = kind + chunk
            self._flush_client()
        return True

    def _write_log(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._log, view) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
                raise
            self.dropped += len(view)

    def _flush_client(self, *, wait: bool = False) -> None:
        if not self._packet or not self._client:
            return
        if wait:
            self._client.setblocking(True)
        try:
            self._client.send(self._packet)
            self._packet = b""
        except BlockingIOError:
            return
        except OSError:
            self._forget_client()
        finally:
            if wait and self._client:
                self._client.setblocking(False)

    def _read_client(self) -> None:
        assert self._client is not None, "polled"
        try:
            packet = self._client.recv(CHUNK + 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._forget_client()
        elif packet[:1] == STDIN and self._stdin >= 0:
            if len(packet) == 1:
                self._close_input()
            else:
                self._input = packet[1:]
                self._flush_input()

    def _flush_input(self) -> None:
        try:
            while self._input:
                self._input = self._input[os.write(self._stdin, self._input) :]
        except BlockingIOError:
            return
        except OSError:
            self._close_input()

    def _close_input(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
        self._stdin, self._input = -1, b""

    def _forget_client(self) -> None:
        """The command is gone: its container goes on, with nobody to type to it."""
        if self._client:
            self._client.close()
        self._client, self._packet = None, b""
        self._close_input()
