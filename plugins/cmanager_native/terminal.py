"""The container's terminal: a pair in its own devpts, whose master goes to whoever asked (pty(7), devpts(5))."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import termios

from cmanager.linux import inroot, terminals

_UNIX98_MASTER, _UNIX98_PEERS = 5, range(136, 144)  # Documentation/admin-guide/devices.txt


def open_pair(root: int) -> tuple[int, int]:
    """Master and peer of a new terminal in the devpts mounted below `root`; the caller closes both. Raises OSError."""
    master = inroot.open_in(root, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    try:
        _check(master, _UNIX98_MASTER)
        terminals.unlock(master)
        peer = terminals.open_peer(master)
        _check(peer, *_UNIX98_PEERS)
    except BaseException:
        os.close(master)
        raise
    return master, peer


def control(peer: int) -> None:
    """Make it this session's controlling terminal; call after setsid(2)."""
    fcntl.ioctl(peer, termios.TIOCSCTTY, 0)


def _check(fd: int, *majors: int) -> None:
    found = os.fstat(fd)
    if not stat.S_ISCHR(found.st_mode) or os.major(found.st_rdev) not in majors:
        raise OSError(errno.ENODEV, "not a terminal of this container's devpts")
