"""A command that is attached to a container, or to one more program in it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..model.codec import from_data
from ..model.container import Container
from ..model.usage import Usage
from ..supervisor import attach, keys

__all__ = ["Session"]

_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class _Interrupted(BaseException):
    """A signal whose business is to end this process, once the terminal is as it was."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Session:
    """The caller's end of a program's standard streams.

    container: as it was started; tty: whether the program has a terminal; late: it was running before, so that its
    terminal is to be drawn anew; send: passes a signal on to it; lost: finds the exit code when the supervisor cannot
    tell it any more. `pump` moves data and ends with the program; then `usage` is what the container used, None where
    nobody could tell. `close` lets it go on alone.
    """

    def __init__(
        self,
        container: Container,
        end: socket.socket,
        *,
        tty: bool,
        send: Callable[[int], None],
        lost: Callable[[], int],
        late: bool = False,
    ) -> None:
        self.container, self.tty = container, tty
        self.usage: Usage | None = None
        self._end, self._send, self._lost, self._late = end, send, lost, late

    def pump(
        self,
        stdin: int = -1,
        stdout: int = 1,
        stderr: int = 2,
        *,
        forward_signals: bool = False,
        detach_keys: bytes = keys.parse(keys.DEFAULT),
    ) -> int | None:
        """Move data between these descriptors and the program until it ends; returns its exit code.

        None is returned when the detach keys were typed; they are looked for where stdin is a terminal and the program
        has one too. Such a terminal is raw meanwhile and restored whatever happens. forward_signals: otherwise pass the
        signals that this process gets on to the container (main thread only).
        """
        raw = self.tty and stdin >= 0 and os.isatty(stdin)
        try:
            if raw:
                code = self._pump_raw(stdin, stdout, stderr, detach_keys)
            else:
                handlers = {int(number): self._send for number in _FORWARDED if forward_signals}
                code = attach.pump(self._end, stdin, stdout, stderr, handlers, keys.Detach(b""), self._used)
        except keys.Detached:
            return None
        finally:
            self.close()
        return self._lost() if code is None else code

    def close(self) -> None:
        """Detach; the program goes on."""
        self._end.close()

    def _used(self, payload: bytes) -> None:
        self.usage = from_data(Usage, json.loads(payload))

    def _pump_raw(self, stdin: int, stdout: int, stderr: int, detach_keys: bytes) -> int | None:
        from ..supervisor.terminal import ENDING, Terminal, made_raw

        terminal = Terminal(stdin)

        def resized(number: int) -> None:
            attach.resize(self._end, *terminal.size())

        def continued(number: int) -> None:
            terminal.raw()
            resized(number)

        handlers: dict[int, Callable[[int], None]] = {int(number): _interrupt for number in ENDING}
        handlers |= {int(signal.SIGWINCH): resized, int(signal.SIGCONT): continued}
        with _dying_properly(), made_raw(terminal):
            if self._late:
                # A size that differs, and differs back, makes full-screen programs draw for whoever came later.
                rows, columns = terminal.size()
                attach.resize(self._end, rows + 1, columns)
                resized(signal.SIGWINCH)
            return attach.pump(self._end, stdin, stdout, stderr, handlers, keys.Detach(detach_keys), self._used)


def _interrupt(number: int) -> None:
    raise _Interrupted(number)


@contextmanager
def _dying_properly() -> Iterator[None]:
    try:
        yield
    except _Interrupted as interrupted:
        signal.signal(interrupted.number, signal.SIG_DFL)
        signal.raise_signal(interrupted.number)
