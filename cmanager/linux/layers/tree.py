"""The directory a layer is written into, and the directories inside it that are open at the moment."""

from __future__ import annotations

import errno
import os
import stat
from typing import Protocol

from ...errors import CorruptError
from .. import files, inroot, syscalls
from ..values import frozen
from .bounds import Bounds

IMPLIED_MODE = 0o755
_OPEN_DIRECTORIES = 32
_PATH_MAX = 4000


@frozen
class Directory:
    """An open directory of the tree. fd: owned by the tree; path: where it really is, with no link in it."""

    fd: int
    path: bytes


class Follower(Protocol):
    """Who is told how the tree grows: the whiteout styles (`whiteouts`)."""

    def entered(self, directory: Directory) -> None:
        """Something is about to be done in this directory."""

    def implied(self, directory: Directory, name: bytes, instead: os.stat_result | None) -> bool:
        """Directory `name` is needed that no entry made yet; `instead` is what is there. Return False to refuse it."""


class Tree:
    """A root directory with everything a layer may do to it; no path leads out (`cmanager.linux.inroot`).

    Links in the middle of a path are followed inside the root, as containerd and umoci do; the last component never is.
    Directories that no entry announced are made with mode 0755, owner 0:0 and time 0, so that equal layers give equal
    trees. Directory times are set by `finish`, because every file written into one changes it.
    """

    def __init__(self, root: int, bounds: Bounds) -> None:
        self.root = root
        self.follower: Follower | None = None
        self._bounds = bounds
        self._base = len(os.fsencode(os.readlink(f"/proc/self/fd/{root}")))
        self._open: dict[bytes, Directory] = {}
        self._times: dict[bytes, int] = {}
        self._names = 0
        self._made = 0
        self._top = Directory(root, b"")
        self.keep_time(self._top)

    def close(self) -> None:
        """Close the open directories, but not the root."""
        for directory in self._open.values():
            os.close(directory.fd)
        self._open.clear()

    def count(self) -> None:
        """One more thing is made; CorruptError when there are too many."""
        self._made += 1
        if self._made > self._bounds.entries:
            raise CorruptError(f"more than {self._bounds.entries} files")

    def directory(self, path: bytes) -> Directory:
        """The directory at `path`, made if it is missing. Valid until the next call of `directory` or `clear`."""
        if not path:
            return self._top
        found = self._open.get(path)
        if found is not None:
            return found
        try:
            fd = self._resolve(path)
        except (FileNotFoundError, NotADirectoryError):
            above, _, name = self._checked(path).rpartition(b"/")
            self._imply(self.directory(above), name)
            try:
                fd = self._resolve(path)
            except (FileNotFoundError, NotADirectoryError):
                raise CorruptError("its directory leads through a link to nothing") from None
        return self._remember(path, fd)

    def existing(self, path: bytes) -> Directory:
        """As `directory`, but what is missing raises CorruptError."""
        try:
            return self._open.get(path) or (self._remember(path, self._resolve(path)) if path else self.directory(b""))
        except (FileNotFoundError, NotADirectoryError):
            raise CorruptError("its target is not in the layer") from None

    def made(self, path: bytes, directory: Directory, name: bytes) -> Directory:
        """Open the directory `name`, which an entry named `path` just made; it stays open for what follows."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        real = self._checked(join(directory.path, name))
        fd = os.open(name, flags, dir_fd=directory.fd)
        return self._keep(path, Directory(fd, real))

    def clear(self, path: bytes, name: bytes) -> None:
        """Remove `name` in the directory `path` with all below it. Every `Directory` is invalid afterwards."""
        directory = self.directory(path)
        self.remove(directory, name)
        self.close()

    def remove(self, directory: Directory, name: bytes) -> None:
        """As `clear`, when no open directory can be below or lead through it."""
        files.remove_tree(f"/proc/self/fd/{directory.fd}/{os.fsdecode(name)}")

    def set_time(self, path: bytes, time: int) -> None:
        """Give the directory that is really at `path` this mtime in the end."""
        if path not in self._times:
            self._names += len(path)
            if self._names > self._bounds.names:
                raise CorruptError(f"its directory names take more than {self._bounds.names} bytes")
        self._times[path] = time

    def keep_time(self, directory: Directory) -> None:
        """Give the directory back the mtime it has now, if nothing else was said about it."""
        if directory.path not in self._times:
            self.set_time(directory.path, os.stat(b".", dir_fd=directory.fd).st_mtime_ns)

    def finish(self) -> None:
        """Set the directory times. What was replaced by something else meanwhile is left alone."""
        for path, time in self._times.items():
            try:
                fd = self.reopen(path)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    continue
                raise
            try:
                os.utime(fd, ns=(time, time))
            finally:
                os.close(fd)

    def reopen(self, path: bytes) -> int:
        """The directory that is really at `path`, readable; the caller closes it. OSError when that is no directory."""
        flags = os.O_RDONLY | os.O_DIRECTORY
        resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
        return syscalls.openat2(self.root, path or b".", flags, resolve=resolve)

    def _resolve(self, path: bytes) -> int:
        try:
            return inroot.open_in(self.root, path, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
                raise CorruptError(f"its directory cannot be reached: {os.strerror(error.errno).lower()}") from None
            raise

    def _remember(self, path: bytes, fd: int) -> Directory:
        try:
            # The kernel knows where the links led.
            real = os.fsencode(os.readlink(f"/proc/self/fd/{fd}"))[self._base + 1 :]
            directory = Directory(fd, self._checked(real))
            self.keep_time(directory)
            if self.follower is not None:
                self.follower.entered(directory)
        except BaseException:
            os.close(fd)
            raise
        return self._keep(path, directory)

    def _checked(self, path: bytes) -> bytes:
        if path.count(b"/") >= self._bounds.depth or len(path) + self._base > _PATH_MAX:
            raise CorruptError(f"it lies more than {self._bounds.depth} directories or {_PATH_MAX} bytes deep")
        return path

    def _keep(self, path: bytes, directory: Directory) -> Directory:
        stale = self._open.pop(path, None)
        if stale is not None:
            os.close(stale.fd)
        elif len(self._open) >= _OPEN_DIRECTORIES:
            os.close(self._open.pop(next(iter(self._open))).fd)
        self._open[path] = directory
        return directory

    def _imply(self, directory: Directory, name: bytes) -> None:
        """Make a directory that entries need and none announced."""
        try:
            there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        if there is not None and stat.S_ISDIR(there.st_mode):
            return  # made a moment ago, on the way to where a link above leads
        if there is not None and stat.S_ISLNK(there.st_mode):
            self._follow(directory, os.readlink(name, dir_fd=directory.fd))
            return
        self.count()
        if self.follower is not None and not self.follower.implied(directory, name, there):
            raise CorruptError("a file is in the way where it needs a directory")
        reset(directory, name)
        self.set_time(self._checked(join(directory.path, name)), 0)

    def _follow(self, directory: Directory, target: bytes) -> None:
        """Make the directory that a dangling link leads to; the kernel has counted the links before."""
        path = b"" if target.startswith(b"/") else directory.path
        for name in target.split(b"/"):
            if name == b"..":
                path = path.rpartition(b"/")[0]
            elif name not in (b"", b"."):
                path = self.directory(join(path, name)).path


def join(path: bytes, name: bytes) -> bytes:
    """A name below a path of the tree, whose root is b""."""
    return path + b"/" + name if path else name


def reset(directory: Directory, name: bytes) -> None:
    """Give directory `name` the attributes of one that no entry describes."""
    os.chown(name, 0, 0, dir_fd=directory.fd, follow_symlinks=False)
    os.chmod(name, IMPLIED_MODE, dir_fd=directory.fd)
