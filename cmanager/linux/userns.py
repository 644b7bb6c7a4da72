"""User namespaces, pinned as files (user_namespaces(7))."""

from __future__ import annotations

import os

from . import pins, syscalls
from .pins import unpin

__all__ = ["available", "pin", "unpin"]


def available() -> bool:
    """Whether this process may make one: not where the host forbids it, nor below a changed root (unshare(2), EPERM).

    It is tried, in a forked child: for a single-threaded caller.
    """
    child = os.fork()
    if child == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def pin(path: str, first: int, count: int) -> None:
    """Make a user namespace in which ids 0 to count-1 are host ids from `first`, bound to the file `path`.

    Raises OSError; then nothing is left. `unpin` removes it.
    """

    def map_ids(child: int) -> None:
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "wb", buffering=0) as file:
                file.write(b"0 %d %d\n" % (first, count))

    pins.pin(path, "user", lambda: syscalls.unshare(syscalls.CLONE_NEWUSER), map_ids)
