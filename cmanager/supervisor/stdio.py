"""The supervisor's side of a container's input and output: pipes or a terminal, the log, and whoever is attached."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..linux import terminals
from ..model.codec import to_data
from ..model.runtime import Stdio
from ..model.usage import Usage
from .attach import CHUNK, RESIZE, STDERR, STDIN, STDOUT, prepare
from .client import Client, part
from .output import Output

if TYPE_CHECKING:
    from .steps import Mark

_STREAMS = {STDOUT: b"stdout", STDERR: b"stderr"}
_OUTPUTS = {name.decode(): kind for kind, name in _STREAMS.items()}
#: Chunks that are taken of each output after the program's end: what a pipe holds, and not what others go on writing.
_LAST_CHUNKS = 64
_LONGEST_WAIT = 10**8  # milliseconds, below what poll(2) takes


class Streams:
    """Owns the manager's ends of stdin, stdout and stderr, and the sockets of attached commands.

    output: where output is kept, None for nowhere; client: the command that is attached from the start, or None; once:
    stdin ends when that leaves. A client that reads slowly slows the program down, as a pipe would, but not its end; a
    client that is gone is forgotten. It has no descriptors until `make`, or is `taken`.
    """

    def __init__(self, output: Output | None, client: socket.socket | None = None, *, once: bool = False) -> None:
        self._output = output
        self._clients = [Client(client)] if client else []
        self._first = client if once else None
        self._listener: socket.socket | None = None
        self._input = b""  # for the container, which has not read it
        self._stdin = -1
        self._interactive = False
        self._outputs: dict[int, bytes] = {}
        self._console: socket.socket | None = None
        self._peer = self._null = self._ended = -1
        self._theirs: tuple[int, ...] = ()
        self.stdio = Stdio()

    def make(self, *, interactive: bool, terminal: bool = False) -> None:
        """Make the container's `stdio`. interactive: stdin is a pipe that clients feed, otherwise it is /dev/null;
        terminal: one terminal instead of three pipes. Raises OSError."""
        self._interactive = interactive
        if terminal:
            self._console, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            self.stdio = Stdio(console=theirs.detach())
            self._theirs = (self.stdio.console,)
            return
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._outputs = {out_read: STDOUT, err_read: STDERR}
        if interactive:
            stdin, self._stdin = os.pipe()
            os.set_blocking(self._stdin, False)
        else:
            stdin = self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.stdio = Stdio(stdin, out_write, err_write)
        self._theirs = (stdin, out_write, err_write)
        for fd in self._outputs:
            os.set_blocking(fd, False)

    @classmethod
    def taken(cls, output: Output | None, roles: Mapping[str, int]) -> Streams:
        """Those of another process, which has ended: its descriptors, by their `roles`."""
        streams = cls(output)
        streams._outputs = {roles[name]: kind for name, kind in _OUTPUTS.items() if name in roles}
        streams._stdin = roles.get("stdin", -1)
        if "typed" in roles:  # the same terminal once more
            os.close(roles["typed"])
            streams._stdin = roles["stdout"]
        streams._peer, streams._ended = roles.get("peer", -1), roles["ended"]
        streams._listener = socket.socket(fileno=roles["listener"])
        return streams

    @property
    def roles(self) -> dict[str, int]:
        """The descriptors of a program that runs, by what they are for, while it is `calm`: for another process."""
        roles = {name: fd for name, kind in _OUTPUTS.items() for fd, found in self._outputs.items() if kind == found}
        if self._stdin >= 0:
            roles["typed" if self._stdin in self._outputs else "stdin"] = self._stdin
        assert self._listener, "it listens from before the start"
        roles |= {"ended": self._ended, "listener": self._listener.fileno()}
        return roles if self._peer < 0 else roles | {"peer": self._peer}

    @property
    def calm(self) -> bool:
        """Whether nobody is attached, and nothing waits to be moved."""
        return not self._clients and not self._input and self._ended >= 0

    def own(self, uid: int, gid: int) -> None:
        """Let the program's user open its /dev/stdout; ids of the host. A terminal is given by the runtime."""
        for fd in (self.stdio.stdin, self.stdio.stdout, self.stdio.stderr):
            if fd >= 0 and fd != self._null:
                os.fchown(fd, uid, gid)

    def given(self) -> None:
        """Close the container's ends, after the runtime has passed them on; take the terminal that it made.

        Raises CmanagerError when it made none.
        """
        self._close_theirs()
        if self._console is None:
            return
        with self._console as channel:
            master = terminals.receive(channel)
        self._console = None
        os.set_blocking(master, False)
        # A program may close its terminal and open it again: it is hung up only when nobody has it open (pty(7)).
        self._peer = terminals.open_peer(master)
        self._outputs = {master: STDOUT}
        self._stdin = master if self._interactive else -1
        # What the client sent before the start is there already: its window's size, which the program is to find.
        for client in list(self._clients):
            self._read_client(client)

    def listen(self, path: str) -> None:
        """Let commands attach at the socket `path`, which only its owner may connect to."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        directory, _, name = path.rpartition("/")
        with suppress(FileNotFoundError):
            os.unlink(path)
        # A path of a socket may have 107 bytes (unix(7)); one below a descriptor is short.
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listener.bind(f"/proc/self/fd/{fd}/{name}")
            os.chmod(path, 0o600)
        finally:
            os.close(fd)
        listener.listen(16)
        self._listener = listener

    def until_end(self, init: int, others: tuple[int, ...] = (), seconds: float | None = None) -> bool:
        """Move data until the process with this pid, always the same, has ended and what it wrote has been read.

        Returns False, and can be called again, when one of the descriptors `others` is readable, the time is over, the
        last client has left or there is news of the output.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            # Once: where another process reaps it, its number may be another's the next time.
            self._ended = os.pidfd_open(init) if self._ended < 0 else self._ended
        except ProcessLookupError:
            self._take_rest()
            return True
        while self._ended not in (ready := self._wait((self._ended, *others), deadline)):
            attached = bool(self._clients)
            self._serve(ready)
            if not ready.keys().isdisjoint(others) or (deadline and time.monotonic() >= deadline):
                return False
            if attached and not self._clients:
                return False
            if self._output and self._output.news:
                return False
        self._take_rest()
        return True

    def _close_theirs(self) -> None:
        """The container's ends, whether it was given them or never came to be."""
        for fd in self._theirs:
            os.close(fd)
        self._theirs = ()

    def _take_rest(self) -> None:
        """Its pid namespace died with it; with a shared one others may hold the pipes: take what is there."""
        for fd in list(self._outputs):
            for _ in range(_LAST_CHUNKS):
                if not self._read(fd):
                    break

    def finish(self, exit_code: int, usage: Usage | None = None, marks: Sequence[Mark] = ()) -> None:
        """Tell the clients how it ended, what it used and when its steps were, and close everything; waits for none."""
        part(self._clients, exit_code, [json.dumps(news).encode() for news in (to_data(usage), marks) if news])
        self._clients = []
        if self._listener:
            self._listener.close()
        self._close_theirs()
        if self._console:
            self._console.close()
        for fd in {*self._outputs, self._stdin, self._peer, self._ended} - {-1}:
            os.close(fd)
        self._outputs, self._stdin, self._peer, self._ended = {}, -1, -1, -1

    def _wait(self, also: tuple[int, ...], deadline: float | None) -> dict[int, int]:
        poller = select.poll()
        for fd in also:
            poller.register(fd, select.POLLIN)
        if self._listener:
            poller.register(self._listener, select.POLLIN)
        wanted = dict.fromkeys(self._outputs, 0 if self._stuck() else select.POLLIN)
        if self._input:
            wanted[self._stdin] = wanted.get(self._stdin, 0) | select.POLLOUT
        for client in self._clients:
            events = (select.POLLOUT if client.waiting else 0) | (0 if self._input else select.POLLIN)
            wanted[client.end.fileno()] = events
        for fd, events in wanted.items():
            # Without an event asked for, a hang-up would be told again and again.
            if events:
                poller.register(fd, events)
        times = [deadline]
        if self._output:
            times.append(self._output.due)
            for fd in self._output.wanted:
                poller.register(fd, select.POLLOUT)
            for fd in self._output.heard:
                poller.register(fd, select.POLLIN)
        first = min((moment for moment in times if moment is not None), default=None)
        wait = None if first is None else min(max(0.0, first - time.monotonic()) * 1000, _LONGEST_WAIT)
        return dict(poller.poll(wait))

    def _serve(self, ready: dict[int, int]) -> None:
        if self._listener and self._listener.fileno() in ready:
            self._accept(self._listener)
        if self._output:
            self._output.serve(ready)
        for client in list(self._clients):
            events = ready.get(client.end.fileno(), 0)
            if events & select.POLLOUT and not client.flush():
                self._forget(client)
            elif events & (select.POLLIN | select.POLLHUP | select.POLLERR) and not self._input:
                self._read_client(client)
        if ready.get(self._stdin, 0) & (select.POLLOUT | select.POLLERR):
            self._flush_input()
        for fd in list(self._outputs):
            if ready.get(fd, 0) & ~select.POLLOUT and not self._stuck():
                self._read(fd)

    def _stuck(self) -> bool:
        return any(client.waiting for client in self._clients)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            end, _ = listener.accept()
            prepare(end)
            self._clients.append(Client(end))

    def _read(self, fd: int) -> bool:
        """Take one chunk of output; False when there is none now or ever."""
        try:
            chunk = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""  # EIO: the last process has closed the terminal (pty(7))
        if not chunk:
            del self._outputs[fd]
            if fd == self._stdin:
                self._stdin, self._input = -1, b""
            os.close(fd)
            return False
        kind = self._outputs[fd]
        if self._output:
            self._output.write(_STREAMS[kind], chunk, time.time_ns())
        for client in list(self._clients):
            if not client.give(kind + chunk):
                self._forget(client)
        return True

    def _read_client(self, client: Client) -> None:
        try:
            packet = client.end.recv(CHUNK + 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._forget(client)
        elif packet[:1] == RESIZE:
            self._resize(packet[1:])
        elif packet == STDIN:
            if client.end is self._first:
                self._end_input()
        elif packet[:1] == STDIN and self._stdin >= 0:
            self._input = packet[1:]
            self._flush_input()

    def _resize(self, size: bytes) -> None:
        for fd in self._outputs:
            with suppress(OSError, ValueError):
                rows, columns = map(int, size.split())
                terminals.resize(fd, rows, columns)

    def _flush_input(self) -> None:
        try:
            while self._input:
                self._input = self._input[os.write(self._stdin, self._input) :]
        except BlockingIOError:
            return
        except OSError:
            self._input = b""
            self._end_input()

    def _end_input(self) -> None:
        """Nothing more will come; a terminal has no end of its input but the byte that says so."""
        if self._stdin in self._outputs:
            return
        if self._stdin >= 0:
            os.close(self._stdin)
        self._stdin, self._input = -1, b""

    def _forget(self, client: Client) -> None:
        """A command is gone, its container goes on; the one that began it took its input along."""
        self._clients.remove(client)
        client.end.close()
        if client.end is self._first:
            self._end_input()
