"""Paths inside a root that somebody else controls: the only module that joins names onto a rootfs.

A container or an image may hold any symbolic link. Every function takes an open directory as the root, resolves
through openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), so that no link, `..` or magic link leads outside, and hands
back descriptors rather than names, so that nothing can be swapped in between (openat2(2); CVE-2021-30465).
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from . import syscalls
from .syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS

_RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_LINKS = 40  # what the kernel follows in one path (path_resolution(7))


def open_root(path: str) -> int:
    """The directory at `path`, which the caller trusts, as a root; the caller closes it."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_in(root: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """openat2 of `path` under `root`; raises OSError. The caller closes the descriptor."""
    return syscalls.openat2(root, path or ".", flags, mode=mode, resolve=_RESOLVE)


def locate(root: int, path: str | bytes) -> tuple[int, bytes]:
    """Where a file at `path` is, or would be made: its directory (O_PATH, the caller closes it) and its name there.

    Links in the last component are followed too, inside the root, so the name is none, or nothing. Raises OSError.
    """
    text = b"/" + os.fsencode(path)
    for _ in range(_LINKS):
        above, _, name = text.rstrip(b"/").rpartition(b"/")
        if name in (b"", b".", b".."):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(path))
        directory = open_in(root, above or b"/", os.O_PATH | os.O_DIRECTORY)
        try:
            target = os.readlink(name, dir_fd=directory)
        except FileNotFoundError:
            return directory, name
        except OSError as error:
            if error.errno == errno.EINVAL:
                return directory, name
            os.close(directory)
            raise
        os.close(directory)
        text = target if target.startswith(b"/") else above + b"/" + target
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(path))


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """openat2 of `path` below `directory` with no link anywhere on the way (ELOOP); raises OSError."""
    return syscalls.openat2(directory, path or b".", flags, resolve=_BENEATH)


def exists(root: int, path: str | bytes) -> bool:
    """Whether `path` under `root` leads to something."""
    try:
        os.close(open_in(root, path, os.O_PATH))
    except OSError:
        return False
    return True


def read_regular(root: int, path: str, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    A FIFO, a device or a larger file raises OSError(EINVAL or EFBIG) instead of hanging or filling memory.
    """
    fd = open_in(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        chunks, size = [], 0
        while chunk := os.read(fd, 65536):
            size += len(chunk)
            if size > limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def make_directory(root: int, path: str | bytes, mode: int = 0o755) -> int:
    """mkdir -p under `root`: opens the directory (O_PATH), making what is missing; the caller closes it.

    A component that is a link is followed inside the root; a dangling link is ENOENT, a file in the way ENOTDIR.
    """
    try:
        return open_in(root, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        pass
    text = os.fsencode(path)
    current = os.dup(root)
    try:
        walked = b""
        for name in text.split(b"/"):
            if name in (b"", b"."):
                continue
            walked = walked + b"/" + name
            try:
                following = open_in(root, walked, os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                if name == b"..":
                    raise
                with suppress(FileExistsError):
                    os.mkdir(name, mode, dir_fd=current)
                following = open_in(root, walked, os.O_PATH | os.O_DIRECTORY)
            os.close(current)
            current = following
        return current
    except BaseException:
        os.close(current)
        raise


def make_file(root: int, path: str | bytes, mode: int = 0o644) -> int:
    """An ordinary file as a mount point: opens it (O_PATH), making it and its directories when missing.

    The caller closes it.
    """
    try:
        return open_in(root, path, os.O_PATH)
    except FileNotFoundError:
        pass
    directory, _, name = os.fsencode(path).rstrip(b"/").rpartition(b"/")
    parent = make_directory(root, directory)
    try:
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent)
        os.close(fd)
    finally:
        os.close(parent)
    return open_in(root, path, os.O_PATH)
