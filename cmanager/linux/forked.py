"""Containers made by fork alone: a child waits for its start, becomes the container by steps, executes the program."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from attrs import define

from ..errors import CmanagerError, CommandError, ConflictError, NotFoundError
from . import programs, syscalls
from .process import Process, reap

_CHANNEL, _GO = 3, b"G"  # where the child hears of its start and tells of its failure; execution closes it
#: The first descriptor that is none of the program's and not needed to tell of a failure: steps may close all from it.
SPARE = _CHANNEL + 1

#: What makes a process a container; says what each step is before it is done, so that a failure has its name.
Steps = Callable[[], Iterator[str]]


@define
class _Container:
    """One of this supervisor's. channel: to the child that waits for its start; code: how it ended."""

    pid: int
    channel: socket.socket | None
    code: int | None = None


class Forked:
    """The containers of one supervisor. Each method does what the one of its name in `cmanager.seams.Runtime` promises,
    but for reading the bundle. For a single-threaded caller."""

    def __init__(self) -> None:
        self._containers: dict[str, _Container] = {}

    def create(self, id: str, process: dict[str, Any], streams: tuple[int, int, int], steps: Steps) -> int:
        """Fork the child, which waits for `start` in a session of its own; returns its pid.

        process: an OCI process object, of which `args` and `env` are read; streams: descriptors for 0, 1 and 2; steps:
        done in the child after its start, with default signal actions and no descriptor of the caller's. Should the
        caller die before, the child ends without having run anything. Raises ConflictError for an id it has.
        """
        if id in self._containers:
            raise ConflictError(f"container {id[:12]} was created already")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            _child(process, (*streams, theirs.fileno()), steps)
        theirs.close()
        self._containers[id] = _Container(pid, ours)
        return pid

    def start(self, id: str) -> int:
        """Let the child do its steps and execute the program; returns its pid."""
        container = self._known(id)
        if container.channel is None:
            raise ConflictError(f"container {id[:12]} was started already")
        try:
            container.channel.send(_GO)
            said = container.channel.recv(4096).decode("utf-8", "replace")
        except OSError:  # EPIPE or ECONNRESET: there is nobody to read it
            said = "125 the container was killed before its start"
        if said:
            self.delete(id)
            code, _, text = said.partition(" ")
            raise CmanagerError(text) if code == "125" else CommandError(text, int(code))
        container.channel.close()
        container.channel = None
        return container.pid

    def wait(self, id: str) -> int:
        """Reap it; its exit code, or 128 + its signal."""
        container = self._known(id)
        if container.code is None:
            container.code = reap(container.pid)
        return container.code

    def kill(self, id: str, init: Process, number: int) -> None:
        """Send a signal to its first process, which any process may do."""
        init.signal(number, id)

    def delete(self, id: str) -> None:
        """Kill and reap what still runs."""
        container = self._containers.pop(id, None)
        if container and container.channel:
            container.channel.close()
        if container and container.code is None:
            os.kill(container.pid, signal.SIGKILL)
            os.waitpid(container.pid, 0)

    def _known(self, id: str) -> _Container:
        try:
            return self._containers[id]
        except KeyError:
            raise NotFoundError(f"container {id[:12]} was not created here, or is deleted") from None


def _child(process: dict[str, Any], fds: tuple[int, ...], steps: Steps) -> NoReturn:
    """Wait for the start, become the container, execute the program; or tell the parent why not."""
    doing, code = "begin", 125
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number, inheritable=number != _CHANNEL)
        syscalls.close_range(SPARE)
        programs.reset_signals()
        if os.read(_CHANNEL, 1) == _GO:
            os.setsid()
            for step in steps():
                doing = step
            doing, code = f"execute {process['args'][0]!r}", 126
            pairs = (entry.partition("=") for entry in process.get("env", ()))
            os.execvpe(process["args"][0], process["args"], {name: value for name, _, value in pairs})
    except Exception as error:
        if code == 126 and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            code = 127
        why = getattr(error, "strerror", None) or str(error)
        os.write(_CHANNEL, f"{code} cannot {doing}: {why[:1].lower()}{why[1:]}".encode())
    finally:
        os._exit(code)
