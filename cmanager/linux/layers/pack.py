"""Reading a tree into an archive, also one that somebody else changes meanwhile.

Every file is opened once, through the directory it is in and without following a link; what it is, is asked of that
descriptor. So whatever is swapped in between, nothing is read but what is, at that moment, inside the tree.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from ...errors import ConflictError, UnsupportedError
from . import tar
from .tar import Entry
from .unpacking import keeps_xattr
from .write import Changed, Writer

_DEPTH = 256
_KINDS = {
    stat.S_IFREG: tar.FILE,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHARACTER,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
    stat.S_IFIFO: tar.FIFO,
}
#: Smaller holes are not worth the reader's trouble.
_HOLE = 1 << 16
_SEGMENTS = 10_000


def same_id(number: int) -> int:
    """The owner where no user namespace is."""
    return number


class Packer:
    """Adds files and trees to an archive.

    owner: from an id as stat(2) shows it to the one that is written, may raise; foreign: device numbers of file systems
    whose content is left out; alive: called before each file, may raise. `left_out` counts sockets and the like.
    """

    def __init__(
        self,
        writer: Writer,
        owner: Callable[[int], int] = same_id,
        foreign: frozenset[int] = frozenset(),
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.left_out = 0
        self._writer = writer
        self._owner = owner
        self._foreign = foreign
        self._alive = alive
        self._linked: dict[tuple[int, int], bytes] = {}

    def tree(self, fd: int, name: bytes, depth: int = 0) -> None:
        """The file behind `fd` (O_PATH) as `name`, and everything below it; raises OSError, ConflictError when a file
        is cut meanwhile, UnsupportedError for what lies too deep."""
        info = os.fstat(fd)
        self.one(fd, info, name)
        if not stat.S_ISDIR(info.st_mode) or info.st_dev in self._foreign:
            return
        if depth >= _DEPTH:
            raise UnsupportedError(f"{os.fsdecode(name)[:200]!r} lies more than {_DEPTH} directories deep")
        for entry in listed(fd):
            with suppress(FileNotFoundError):
                child = open_child(fd, entry)
                try:
                    self.tree(child, entry if name == b"" else name + b"/" + entry, depth + 1)
                finally:
                    os.close(child)

    def one(self, fd: int, info: os.stat_result, name: bytes) -> None:
        """The file behind `fd` alone. name: "" for a root that gets no entry."""
        self._alive()
        kind = _KINDS.get(stat.S_IFMT(info.st_mode))
        if kind is None or (kind != tar.DIRECTORY and info.st_dev in self._foreign):
            self.left_out += 1
            return
        if not name:
            return
        if kind != tar.DIRECTORY and info.st_nlink > 1:
            first = self._linked.setdefault((info.st_dev, info.st_ino), name)
            if first != name:
                self._writer.add(self._entry(info, name, tar.HARDLINK, link=first))
                return
        if kind == tar.SYMLINK:
            self._writer.add(self._entry(info, name, kind, link=os.fsencode(os.readlink("", dir_fd=fd))))
        elif kind == tar.DIRECTORY:
            self._writer.add(self._entry(info, name + b"/", kind, xattrs=xattrs(fd)))
        elif kind == tar.FILE:
            source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                segments = _segments(source, info)
                self._writer.add(self._entry(info, name, kind, xattrs=xattrs(fd), segments=segments), source)
            except Changed:
                raise ConflictError(
                    f"{os.fsdecode(name)[:200]!r} was cut while it was read, pause the container or try again"
                ) from None
            finally:
                os.close(source)
        else:
            self._writer.add(self._entry(info, name, kind))

    def _entry(
        self,
        info: os.stat_result,
        name: bytes,
        kind: bytes,
        *,
        link: bytes = b"",
        xattrs: dict[bytes, bytes] | None = None,
        segments: tuple[tuple[int, int], ...] | None = None,
    ) -> Entry:
        device = kind in (tar.CHARACTER, tar.BLOCK_DEVICE)
        return Entry(
            name=name,
            kind=kind,
            mode=stat.S_IMODE(info.st_mode),
            uid=self._owner(info.st_uid),
            gid=self._owner(info.st_gid),
            mtime=info.st_mtime_ns,
            size=info.st_size if kind == tar.FILE else 0,
            link=link,
            major=os.major(info.st_rdev) if device else 0,
            minor=os.minor(info.st_rdev) if device else 0,
            segments=segments,
            xattrs=xattrs or {},
        )


def open_child(directory: int, name: bytes) -> int:
    """The file `name` itself (O_PATH), whatever it is; the caller closes it. Raises OSError."""
    return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


def listed(directory: int) -> list[bytes]:
    """The names in a directory (O_PATH will do) in the order of their bytes; raises OSError."""
    return sorted(os.listdir(f"/proc/self/fd/{directory}".encode()))


def xattrs(fd: int) -> dict[bytes, bytes]:
    """Those that are content, of the file behind `fd` (O_PATH will do)."""
    path, found = f"/proc/self/fd/{fd}", {}
    try:
        for name in os.listxattr(path):
            if keeps_xattr(os.fsencode(name)):
                with suppress(OSError):
                    found[os.fsencode(name)] = os.getxattr(path, name)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
    return found


def _segments(fd: int, info: os.stat_result) -> tuple[tuple[int, int], ...] | None:
    """Where the data of a file with large holes are, None for a file without."""
    size, at = info.st_size, 0
    found: list[tuple[int, int]] = []
    if info.st_blocks * 512 + _HOLE > size:
        return None
    try:
        while at < size and len(found) < _SEGMENTS:
            start = os.lseek(fd, at, os.SEEK_DATA)
            end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
            if start >= size:
                break
            found.append((start, end - start))
            at = end
        else:
            if at < size:
                return None
    except OSError as error:
        if error.errno != errno.ENXIO:  # no data after `at`
            return None
    return tuple(found)
