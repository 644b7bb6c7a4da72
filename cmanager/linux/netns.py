"""Network namespaces that outlive their makers: pinned as files (network_namespaces(7), ip-netns(8))."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from . import syscalls


def pin(path: str, userns: str | None = None) -> None:
    """Make a network namespace and bind it to the file `path`.

    userns: path of the user namespace that is to own it, None for the caller's. Raises OSError; then nothing is left.
    `unpin` removes it. The work is done by a forked child, so the caller's own namespaces never change.
    """
    ready_read, ready_write = os.pipe()
    hold_read, hold_write = os.pipe()
    child = os.fork()
    if child == 0:
        _hold(userns, ready_write, hold_read, hold_write)
    os.close(ready_write)
    os.close(hold_read)
    try:
        number = int(os.read(ready_read, 16) or b"5")
        if number:
            raise OSError(number, os.strerror(number), path)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            syscalls.mount(f"/proc/{child}/ns/net", path, "none", syscalls.MS_BIND)
        except OSError:
            os.unlink(path)
            raise
    finally:
        os.close(ready_read)
        os.close(hold_write)
        os.waitpid(child, 0)


def unpin(path: str) -> None:
    """Undo `pin`, of this module or of `userns`; idempotent. The namespace ends with its last process.

    Raises OSError.
    """
    try:
        syscalls.umount(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        # EINVAL: the file is there but nothing is mounted on it (killed in between).
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
    with suppress(FileNotFoundError):
        os.unlink(path)


def _hold(userns: str | None, ready: int, hold: int, other_end: int) -> None:
    """In the child: make the namespace and keep it until the parent has bound it."""
    try:
        os.close(other_end)
        if userns:
            fd = os.open(userns, os.O_RDONLY | os.O_CLOEXEC)
            syscalls.setns(fd, syscalls.CLONE_NEWUSER)
        syscalls.unshare(syscalls.CLONE_NEWNET)
        os.write(ready, b"0")
        os.read(hold, 1)
    except OSError as error:
        os.write(ready, b"%d" % (error.errno or 5))
    finally:
        os._exit(0)


@contextmanager
def entered(path: str) -> Iterator[None]:
    """The calling thread in the network namespace at `path`, and back again (setns(2)).

    Sockets made inside stay there. Raises OSError.
    """
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(there, syscalls.CLONE_NEWNET)
        finally:
            os.close(there)
        try:
            yield
        finally:
            syscalls.setns(here, syscalls.CLONE_NEWNET)
    finally:
        os.close(here)
