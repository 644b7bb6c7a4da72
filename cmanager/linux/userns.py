"""User namespaces, pinned as files (user_namespaces(7))."""

from __future__ import annotations

from . import pins, syscalls
from .pins import unpin

__all__ = ["pin", "unpin"]


def pin(path: str, first: int, count: int) -> None:
    """Make a user namespace in which ids 0 to count-1 are host ids from `first`, bound to the file `path`.

    Raises OSError; then nothing is left. `unpin` removes it.
    """

    def map_ids(child: int) -> None:
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "wb", buffering=0) as file:
                file.write(b"0 %d %d\n" % (first, count))

    pins.pin(path, "user", lambda: syscalls.unshare(syscalls.CLONE_NEWUSER), map_ids)
