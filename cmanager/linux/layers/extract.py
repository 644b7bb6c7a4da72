"""Writing an archive into a directory that is in use, and that somebody else may be changing meanwhile.

Unlike `unpack`, which has its directory to itself, this follows no link at all below the directory it is given: parents
are opened through openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), files are only ever made anew, and modes and times
are set through descriptors. So neither the archive nor whoever swaps directories for links can lead it elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from ...errors import CmanagerError, CorruptError, HostError, InvalidError
from .. import inroot
from ..values import frozen
from . import tar
from .stream import Stream
from .tar import Entry
from .unpacking import components, set_xattrs, write_content

_SPECIAL = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}
_KNOWN = {tar.FILE, tar.DIRECTORY, tar.SYMLINK, tar.HARDLINK, *_SPECIAL}
_PRIVILEGE = b"security.capability"


@frozen
class Rules:
    """What an archive may decide.

    owner: (uid, gid) that a file gets, may raise; whole: whether device nodes are made, setuid bits, capabilities and
    the attributes of directories that exist already are taken from the archive; alive: called before each entry, may
    raise.
    """

    owner: Callable[[Entry], tuple[int, int]]
    whole: bool = False
    alive: Callable[[], None] = lambda: None


class Extractor:
    """Makes what an archive describes below the open directory `directory`.

    After `run`, `size` is the number of bytes in files and `left_out` the number of device nodes that were not made.
    """

    def __init__(self, directory: int, rules: Rules) -> None:
        self.size = self.left_out = 0
        self._directory = directory
        self._rules = rules
        self._parent: tuple[bytes, int] = (b"", os.dup(directory))
        self._times: dict[bytes, int] = {}

    def close(self) -> None:
        """Close what is open."""
        os.close(self._parent[1])

    def run(self, stream: Stream, base: bytes, *, rename: bool) -> None:
        """Everything in `stream`. base: name that comes before all names, "" for none; rename: it takes the place of
        the first component. Raises CorruptError, InvalidError for a file in the way, HostError."""
        name = b""
        try:
            for entry in tar.entries(stream):
                name = entry.name
                self._rules.alive()
                parts = components(entry.name)[1 if rename else 0 :]
                self._make(entry, [base, *parts] if base else parts, base, rename, stream)
            self._set_times()
        except CorruptError as error:
            raise CorruptError(f"the archive's entry {os.fsdecode(name)[:200]!r}: {error}") from None
        except CmanagerError:
            raise
        except OSError as error:
            raise HostError.of("write", os.fsdecode(name)[:200], error) from None

    def _make(self, entry: Entry, parts: list[bytes], base: bytes, rename: bool, stream: Stream) -> None:
        if not parts:
            if entry.kind != tar.DIRECTORY:
                raise CorruptError("it would take the place of the directory it is written to")
            return
        *above, name = parts
        path = b"/".join(above)
        owner = self._rules.owner(entry)  # may refuse it, so it comes before anything is removed
        parent = self._open_parent(path)
        if entry.kind in (tar.CHARACTER, tar.BLOCK_DEVICE) and not self._rules.whole:
            self.left_out += 1
            return
        if entry.kind not in _KNOWN:
            raise CorruptError(f"it has the unknown type {entry.kind!r}")
        try:
            there: os.stat_result | None = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        if entry.kind == tar.DIRECTORY:
            self._make_directory(entry, owner, parent, name, b"/".join(parts), there)
            return
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise InvalidError(f"cannot put a file onto the directory {os.fsdecode(b'/'.join(parts))!r}")
        if entry.kind == tar.HARDLINK:
            linked = components(entry.link)[1 if rename else 0 :]
            self._link([base, *linked] if base else linked, parent, name, there)
            return
        if there is not None:
            os.unlink(name, dir_fd=parent)
        if entry.kind == tar.FILE:
            self._make_file(entry, owner, parent, name, stream)
        elif entry.kind == tar.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
        else:
            self._make_special(entry, owner, parent, name)

    def _make_file(self, entry: Entry, owner: tuple[int, int], parent: int, name: bytes, stream: Stream) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            write_content(fd, entry, stream)
            self._describe(fd, entry, owner)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=parent)
            raise
        finally:
            os.close(fd)
        self.size += entry.size

    def _make_directory(
        self,
        entry: Entry,
        owner: tuple[int, int],
        parent: int,
        name: bytes,
        path: bytes,
        there: os.stat_result | None,
    ) -> None:
        if there is not None and not stat.S_ISDIR(there.st_mode):
            raise InvalidError(f"cannot put a directory onto the file {os.fsdecode(path)!r}")
        if there is None:
            os.mkdir(name, 0o700, dir_fd=parent)
        elif not self._rules.whole:
            return
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self._describe(fd, entry, owner)
        finally:
            os.close(fd)
        # Set in the end: every file made in it changes its time.
        self._times[path] = entry.mtime

    def _make_special(self, entry: Entry, owner: tuple[int, int], parent: int, name: bytes) -> None:
        kind = _SPECIAL[entry.kind]
        if kind != stat.S_IFIFO and (entry.major > 0xFFF or entry.minor > 0xFFFFF):
            raise CorruptError(f"there is no device {entry.major}:{entry.minor}")
        os.mknod(name, 0o600 | kind, os.makedev(entry.major, entry.minor), dir_fd=parent)
        # chmod(2) would follow a link that took its place: the node itself is held instead.
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if stat.S_IFMT(os.fstat(fd).st_mode) != kind:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            held = f"/proc/self/fd/{fd}"
            os.chown(held, *owner)
            os.chmod(held, entry.mode & 0o1777)
            os.utime(held, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _link(self, target: list[bytes], parent: int, name: bytes, there: os.stat_result | None) -> None:
        if not target:
            raise CorruptError("it is a link to a directory")
        try:
            source = inroot.open_beneath(self._directory, b"/".join(target[:-1]), os.O_PATH | os.O_DIRECTORY)
        except OSError:
            raise CorruptError("its target is not there") from None
        try:
            info = os.stat(target[-1], dir_fd=source, follow_symlinks=False)
            if there is not None:
                if os.path.samestat(info, there):
                    return
                os.unlink(name, dir_fd=parent)
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise CorruptError("its target is not there") from None
        finally:
            os.close(source)

    def _describe(self, fd: int, entry: Entry, owner: tuple[int, int]) -> None:
        """Owner, xattrs, mode: in this order, because chown(2) clears capabilities and setuid bits."""
        os.fchown(fd, *owner)
        kept = {k: v for k, v in entry.xattrs.items() if self._rules.whole or k != _PRIVILEGE}
        if kept:
            set_xattrs(fd, kept)
        os.fchmod(fd, entry.mode if self._rules.whole else entry.mode & 0o1777)

    def _open_parent(self, path: bytes) -> int:
        """The directory at `path`, made where it is missing; open until the next call."""
        if self._parent[0] == path:
            return self._parent[1]
        try:
            fd = inroot.open_beneath(self._directory, path, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            above, _, name = path.rpartition(b"/")
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=self._open_parent(above))
            fd = inroot.open_beneath(self._directory, path, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise InvalidError(f"{os.fsdecode(path)!r} is not a directory, its files cannot be put there") from None
            raise
        os.close(self._parent[1])
        self._parent = (path, fd)
        return fd

    def _set_times(self) -> None:
        for path, time in self._times.items():
            with suppress(FileNotFoundError, NotADirectoryError):
                try:
                    fd = inroot.open_beneath(self._directory, path, os.O_RDONLY | os.O_DIRECTORY)
                except OSError as error:
                    if error.errno == errno.ELOOP:
                        continue
                    raise
                os.utime(fd, ns=(time, time))
                os.close(fd)
