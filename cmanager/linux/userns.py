"""User namespaces that outlive their makers: pinned as files, the way network namespaces are (user_namespaces(7))."""

from __future__ import annotations

import os

from . import syscalls


def pin(path: str, first: int, count: int) -> None:
    """Make a user namespace in which ids 0 to count-1 are host ids from `first`, bound to the file `path`.

    Raises OSError; then nothing is left. `cmanager.linux.netns.unpin` removes it. The work is done by a forked child,
    so the caller's own namespaces never change.
    """
    ready_read, ready_write = os.pipe()
    hold_read, hold_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(ready_write, b"1")
            os.close(hold_write)
            os.read(hold_read, 1)
        except OSError as error:
            os.write(ready_write, b"e%d" % (error.errno or 0))
        finally:
            os._exit(0)
    os.close(ready_write)
    os.close(hold_read)
    try:
        answer = os.read(ready_read, 16)
        if answer != b"1":
            number = int(answer[1:] or b"5")
            raise OSError(number, os.strerror(number), path)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "wb", buffering=0) as file:
                file.write(b"0 %d %d\n" % (first, count))
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            syscalls.mount(f"/proc/{child}/ns/user", path, "none", syscalls.MS_BIND)
        except OSError:
            os.unlink(path)
            raise
    finally:
        os.close(ready_read)
        os.close(hold_write)
        os.waitpid(child, 0)
