"""A command's end of a program's streams, moved until the program ends; raw where both have a terminal.

It loads no third-party package: the client of the command server does this too, for a worker that cannot.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from . import attach, keys

_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class How(NamedTuple):
    """How they are moved.

    tty: whether the program has a terminal; late: it was running before, so that it is to be drawn anew; forward: pass
    the signals that this process gets on; stdin, stdout, stderr: descriptors of this process, -1 for none.
    """

    tty: bool
    late: bool
    forward: bool
    stdin: int
    stdout: int
    stderr: int
    detach_keys: bytes


class Mover(Protocol):
    """Moves data between a channel to a supervisor and this process until the program ends.

    send: passes a signal on to the program; told: gets each news (`attach`). Returns its exit code, None when nobody
    could tell; raises `keys.Detached` when the detach keys were typed.
    """

    def __call__(
        self, end: socket.socket, how: How, send: Callable[[int], None], told: Callable[[bytes], None], /
    ) -> int | None: ...


class _Interrupted(BaseException):
    """A signal whose business is to end this process, once the terminal is as it was."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def move(end: socket.socket, how: How, send: Callable[[int], None], told: Callable[[bytes], None]) -> int | None:
    """The `Mover` that does it here. Signals are taken in the main thread only."""
    if how.tty and how.stdin >= 0 and os.isatty(how.stdin):
        return _move_raw(end, how, told)
    handlers = {int(number): send for number in _FORWARDED if how.forward}
    return attach.pump(end, how.stdin, how.stdout, how.stderr, handlers, keys.Detach(b""), told)


def _move_raw(end: socket.socket, how: How, told: Callable[[bytes], None]) -> int | None:
    from .terminal import ENDING, Terminal, made_raw

    terminal = Terminal(how.stdin)

    def resized(number: int) -> None:
        attach.resize(end, *terminal.size())

    def continued(number: int) -> None:
        terminal.raw()
        resized(number)

    handlers: dict[int, Callable[[int], None]] = {int(number): _interrupt for number in ENDING}
    handlers |= {int(signal.SIGWINCH): resized, int(signal.SIGCONT): continued}
    with _dying_properly(), made_raw(terminal):
        if how.late:
            # A size that differs, and differs back, makes full-screen programs draw for whoever came later.
            rows, columns = terminal.size()
            attach.resize(end, rows + 1, columns)
            resized(signal.SIGWINCH)
        detach = keys.Detach(how.detach_keys)
        return attach.pump(end, how.stdin, how.stdout, how.stderr, handlers, detach, told)


def _interrupt(number: int) -> None:
    raise _Interrupted(number)


@contextmanager
def _dying_properly() -> Iterator[None]:
    try:
        yield
    except _Interrupted as interrupted:
        signal.signal(interrupted.number, signal.SIG_DFL)
        signal.raise_signal(interrupted.number)
