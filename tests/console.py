"""A terminal with a person at it: what is typed, and what is seen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .support import Cli


class Console:
    """A program on a terminal of its own, which is its session's. `seen` is all it wrote so far."""

    def __init__(self, command: list[str], environment: dict[str, str], rows: int = 31, columns: int = 97) -> None:
        self.master, peer = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            command, stdin=peer, stdout=peer, stderr=peer, env=environment, start_new_session=True, preexec_fn=_control
        )
        self.mode = termios.tcgetattr(peer)
        self._peer = peer
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        """Change the window; the kernel tells the foreground process group (SIGWINCH)."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def line(self, text: str) -> None:
        """Type a line and press return."""
        self.type(text + "\r")

    def see(self, text: str, seconds: float = 30) -> str:
        """Wait until `text` appears after what was waited for before; returns what came up to it."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not appear, but {self.seen[-2000:]!r}"
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
                except OSError:  # EIO: everybody has closed it
                    assert text in self.seen, f"{text!r} did not appear before the end, but {self.seen[-2000:]!r}"
        before, _, self.seen = self.seen.partition(text)
        return before

    def wait(self, seconds: float = 30) -> int:
        """The program's exit code, read to the end meanwhile."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running, last seen {self.seen[-2000:]!r}"
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
        return self.process.returncode

    def is_raw(self) -> bool:
        """Whether keys reach the program one by one, unechoed."""
        return not termios.tcgetattr(self._peer)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._peer)
        os.close(self.master)
        self.master = self._peer = -1

    def close(self) -> None:
        """End what is left of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self._peer):
            if fd >= 0:
                os.close(fd)


@contextmanager
def console(cli: Cli, *arguments: str, rows: int = 31, columns: int = 97) -> Iterator[Console]:
    """`cmanager` with these arguments on a terminal."""
    with on_terminal([*cli.command, *arguments], cli, rows, columns) as opened:
        yield opened


@contextmanager
def on_terminal(command: list[str], cli: Cli, rows: int = 31, columns: int = 97) -> Iterator[Console]:
    """Any program on a terminal, in the environment of `cli`."""
    opened = Console(command, {**cli.environment, "TERM": "xterm"}, rows, columns)
    try:
        yield opened
    finally:
        opened.close()


def _control() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
