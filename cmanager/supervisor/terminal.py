"""The terminal of whoever typed the command: raw while a container has it, and as it was afterwards (termios(3))."""

from __future__ import annotations

import os
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import HostError

#: Signals that end a command and would leave the terminal raw behind it.
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Terminal:
    """The terminal behind a descriptor, which stays the caller's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] = termios.tcgetattr(fd)

    def raw(self) -> None:
        """Every key goes to the container, Ctrl-C and Ctrl-Z among them. From the background this stops the process,
        as the kernel does with whoever changes a terminal it does not have (SIGTTOU). Raises HostError."""
        try:
            tty.setraw(self._fd, termios.TCSADRAIN)
        except termios.error as error:
            raise HostError("make the terminal raw", "", error.args[0]) from None

    def restore(self) -> None:
        """As it was when this object was made; a terminal that is gone is success."""
        with suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def size(self) -> tuple[int, int]:
        """Rows and columns; 0, 0 when it has none."""
        try:
            found = os.get_terminal_size(self._fd)
        except OSError:
            return 0, 0
        return found.lines, found.columns


@contextmanager
def made_raw(terminal: Terminal) -> Iterator[None]:
    """Raw inside of the block, restored whatever ends it."""
    try:
        terminal.raw()
        yield
    finally:
        terminal.restore()
