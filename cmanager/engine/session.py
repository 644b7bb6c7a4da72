"""A command that is attached to a container, or to one more program in it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..model.codec import from_data
from ..model.container import Container
from ..model.usage import Usage
from ..supervisor import keys
from ..supervisor.moving import How, Mover, move

if TYPE_CHECKING:
    from ..supervisor.steps import Mark

__all__ = ["Session"]


class Session:
    """The caller's end of a program's standard streams.

    container: as it was started; tty: whether the program has a terminal; late: it was running before, so that its
    terminal is to be drawn anew; send: passes a signal on to it; lost: finds the exit code when the supervisor cannot
    tell it any more. `pump` moves data and ends with the program; then `usage` is what the container used, None where
    nobody could tell, and `marks` are those of its end where the engine's observer is a `Timeline`. `close` lets it go
    on alone.
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
        self.marks: list[Mark] = []
        self._end, self._send, self._lost, self._late = end, send, lost, late

    def pump(
        self,
        stdin: int = -1,
        stdout: int = 1,
        stderr: int = 2,
        *,
        forward_signals: bool = False,
        detach_keys: bytes = keys.parse(keys.DEFAULT),
        by: Mover = move,
    ) -> int | None:
        """Move data between these descriptors and the program until it ends; returns its exit code.

        None is returned when the detach keys were typed; they are looked for where stdin is a terminal and the program
        has one too. Such a terminal is raw meanwhile and restored whatever happens. forward_signals: otherwise pass the
        signals that this process gets on to the container (main thread only). by: who moves it.
        """
        how = How(self.tty, self._late, forward_signals, stdin, stdout, stderr, detach_keys)
        try:
            code = by(self._end, how, self._send, self._told)
        except keys.Detached:
            return None
        finally:
            self.close()
        return self._lost() if code is None else code

    def close(self) -> None:
        """Detach; the program goes on."""
        self._end.close()

    def _told(self, payload: bytes) -> None:
        news = json.loads(payload)
        if isinstance(news, list):
            self.marks = [(name, phase, moment) for name, phase, moment in news]
        else:
            self.usage = from_data(Usage, news)
