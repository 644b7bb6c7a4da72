"""Files that survive: written whole or not at all, and locks that the kernel frees when their holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def write_atomic(path: str, content: bytes, *, durable: bool = False, mode: int = 0o600) -> None:
    """Replace `path` by `content` in one step: readers see the old or the new file.

    durable: also survive a power loss when this returns (fsync of the file, then of its directory). Raises OSError.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            write_all(fd, content)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path))


def write_all(fd: int, content: bytes | bytearray | memoryview) -> None:
    """write(2) until all is written."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def read_small(path: str) -> str:
    """The content of one of the kernel's files, of which a read(2) takes all (proc(5)). Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.fsdecode(os.read(fd, 1 << 16))
    finally:
        os.close(fd)


def sync_directory(path: str) -> None:
    """fsync a directory, so that a rename in it survives a power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def locked(path: str, *, shared: bool = False, wait: bool = True) -> Iterator[int]:
    """Hold flock(2) on `path`, making the file when missing; yields its descriptor.

    A dead holder's lock is gone at once. A held lock is waited for, or with `wait` False a BlockingIOError. The file
    stays: removing a lock file would let two holders in.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield fd
    finally:
        os.close(fd)


def remove_tree(path: str) -> None:
    """Remove a directory and all below it without following links; what is already gone is success.

    For directories of ours only. Immutable or busy entries raise OSError.
    """
    try:
        parent = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _remove(os.path.basename(path), parent)
    finally:
        os.close(parent)


def _remove(name: str | bytes, parent: int) -> None:
    # An explicit stack: an image may nest directories deeper than Python's recursion limit.
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        pass
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    stack: list[tuple[str | bytes, int]] = [(name, os.open(name, flags, dir_fd=parent))]
    try:
        while stack:
            current_name, current = stack[-1]
            deeper = None
            for entry in os.listdir(current):
                try:
                    os.unlink(entry, dir_fd=current)
                except FileNotFoundError:
                    continue
                except (IsADirectoryError, PermissionError):
                    try:
                        os.rmdir(entry, dir_fd=current)
                    except OSError:
                        deeper = entry
                        break
            if deeper is not None:
                stack.append((deeper, os.open(deeper, flags, dir_fd=current)))
                continue
            stack.pop()
            os.close(current)
            with suppress(FileNotFoundError):
                os.rmdir(current_name, dir_fd=stack[-1][1] if stack else parent)
    finally:
        for _, fd in stack:
            os.close(fd)
