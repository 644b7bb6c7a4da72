"""Namespaces that outlive their makers: bound to files (namespaces(7), ip-netns(8))."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from . import syscalls

_NS_GET_NSTYPE = 0xB703  # include/uapi/linux/nsfs.h


def pin(path: str, file: str, make: Callable[[], None], settle: Callable[[int], None] = lambda pid: None) -> None:
    """Bind a new namespace to the file `path`, which must not exist; `unpin` removes it.

    file: its name under /proc/PID/ns; make: enters the new namespace, called in a forked child, so the caller's own
    never change; settle: called in the caller with that child's pid before the namespace is bound. Raises OSError; then
    nothing is left.
    """
    ready_read, ready_write = os.pipe()
    hold_read, hold_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(hold_write)
            make()
            os.write(ready_write, b"0")
            os.read(hold_read, 1)
        except OSError as error:
            os.write(ready_write, b"%d" % (error.errno or errno.EIO))
        finally:
            os._exit(0)
    os.close(ready_write)
    os.close(hold_read)
    try:
        number = int(os.read(ready_read, 16) or b"%d" % errno.EIO)
        if number:
            raise OSError(number, os.strerror(number), path)
        settle(child)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            syscalls.mount(f"/proc/{child}/ns/{file}", path, "none", syscalls.MS_BIND)
        except OSError:
            os.unlink(path)
            raise
    finally:
        os.close(ready_read)
        os.close(hold_write)
        os.waitpid(child, 0)


def pin_here(path: str, kind: str, inside: Callable[[], None] = lambda: None) -> None:
    """The same without a child, for the kinds that a thread can leave again: "net", "ipc" and "uts".

    inside: called in the new namespace. Raises OSError; then nothing is left, and the thread is where it was.
    """
    flag = next(flag for flag, file in syscalls.NAMESPACES.values() if file == kind)
    here = os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        # No signal may come in between, or its handler would run, or raise, in a namespace of ours.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            try:
                syscalls.unshare(flag)
                inside()
                syscalls.mount(f"/proc/thread-self/ns/{kind}", path, "none", syscalls.MS_BIND)
            finally:
                syscalls.setns(here, flag)
        except BaseException:
            unpin(path)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:
        os.close(here)


def pinned(path: str) -> bool:
    """Whether a namespace is bound to the file `path`: then it is of another file system than its directory."""
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except FileNotFoundError:
        return False


def unpin(path: str) -> None:
    """Undo `pin`; the namespace ends with its last process. Idempotent. Raises OSError."""
    try:
        syscalls.umount(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        # EINVAL: the file is there but nothing is mounted on it (killed in between).
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
    with suppress(FileNotFoundError):
        os.unlink(path)


def is_kind(fd: int, flag: int) -> bool:
    """Whether a descriptor is of a namespace of this kind, given as its clone flag (ioctl_nsfs(2))."""
    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE) == flag
    except OSError:
        return False
