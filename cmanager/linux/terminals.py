"""Pseudoterminals by descriptor (pty(7), ioctl_tty(2))."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios

from ..errors import CmanagerError
from . import inroot, syscalls

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


def place_console(root: int, peer: int) -> None:
    """Mount the other end at /dev/console under `root`, from its descriptor. Raises OSError."""
    copy = syscalls.open_tree(peer, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE)
    try:
        point = inroot.make_file(root, "/dev/console")
        try:
            syscalls.move_mount(copy, point)
        finally:
            os.close(point)
    finally:
        os.close(copy)


def send(channel: int, master: int) -> None:
    """Hand a master over through a connected Unix socket, as OCI's --console-socket wants it, and close it here."""
    with socket.socket(fileno=os.dup(channel)) as end:
        socket.send_fds(end, [b"terminal"], [master])
    os.close(master)


def receive(channel: socket.socket) -> int:
    """The master that `send` or a runtime has sent; the caller closes it. CmanagerError when none came."""
    _, fds, _, _ = socket.recv_fds(channel, 4096, 1, socket.MSG_CMSG_CLOEXEC)
    if not fds:
        raise CmanagerError("the runtime sent no terminal")
    return fds[0]
