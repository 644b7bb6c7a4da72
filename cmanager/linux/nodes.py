"""Device nodes below a root that somebody else controls, and the links that programs expect beside them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Final

from . import inroot
from .values import frozen

#: Major and minor number of what every container has in /dev (runtime-spec config-linux.md, default devices).
STANDARD: Final = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS: Final = (
    *(("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1")),
    *(("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx")),
)


@frozen
class Node:
    """A node to make. path: below the root; mode: stat.S_IFCHR, S_IFBLK or S_IFIFO with the permission bits; device:
    as os.makedev makes it; uid, gid: its owner."""

    path: str
    mode: int
    device: int
    uid: int = 0
    gid: int = 0

    def is_at(self, found: os.stat_result) -> bool:
        """Whether what was found is this device, whatever its owner and permissions."""
        return found.st_rdev == self.device and stat.S_IFMT(found.st_mode) == stat.S_IFMT(self.mode)


def make(root: int, node: Node) -> None:
    """Make a node under `root`, its directories too; one that is the same already is left. Raises OSError.

    The caller's umask is taken from its permissions.
    """
    directory, _, name = node.path.rpartition("/")
    parent = inroot.make_directory(root, directory)
    try:
        os.mknod(name, node.mode, node.device, dir_fd=parent)
        os.chown(name, node.uid, node.gid, dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        if not node.is_at(os.stat(name, dir_fd=parent, follow_symlinks=False)):
            raise
    finally:
        os.close(parent)


def link(root: int) -> None:
    """Make the links of /dev that are not there; ptmx only where a devpts is. Raises OSError."""
    dev = inroot.make_directory(root, "/dev")
    try:
        for name, target in _LINKS:
            if name != "ptmx" or inroot.exists(root, "/dev/pts/ptmx"):
                with suppress(FileExistsError):
                    os.symlink(target, name, dir_fd=dev)
    finally:
        os.close(dev)
