"""Pseudoterminals by descriptor (pty(7), ioctl_tty(2))."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441  # include/uapi/asm-generic/ioctls.h


def unlock(master: int) -> None:
    """Let the other end be opened."""
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))


def open_peer(master: int) -> int:
    """The other end, whatever lies at its path (CVE-2025-52565); the caller closes it. Raises OSError."""
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def resize(fd: int, rows: int, columns: int) -> None:
    """Set the window's size; whoever is in the foreground hears of it (SIGWINCH)."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
