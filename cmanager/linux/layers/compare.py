"""What a container changed in what its layers show, and the layer that says so.

A provider tells how its tree is to be read (`Above`) and what the layers show without the container (`Below`); which
changes that makes is decided here, in Docker's words, for all of them alike.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

from ...errors import HostError, UnsupportedError
from .. import inroot
from ..changes import Change, Kind
from ..values import frozen
from . import tar
from .pack import Packer, listed, open_child, same_id, xattrs
from .tar import Entry
from .tree import join
from .whiteouts import OPAQUE_XATTR, is_whiteout
from .write import Writer

_PREFIX = b".wh."
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH = 256


class Below(Protocol):
    """What the layers show. Paths are those inside, without a leading slash."""

    def open(self, path: bytes) -> int | None:
        """The file itself (O_PATH, no link followed), None where there is none; the caller closes it."""

    def names(self, path: bytes) -> Iterable[bytes]:
        """What the directory at `path` has in it."""


class Above(Protocol):
    """How the container's own tree is read."""

    def hides(self, info: os.stat_result) -> bool:
        """Whether this file stands for a deletion."""

    def complete(self, fd: int) -> bool:
        """Whether nothing of the layers shows through the directory behind `fd`."""

    def certain(self) -> bool:
        """Whether a file that is here at all was changed."""


class Upper:
    """overlayfs' upper directory: only what was touched is there."""

    def hides(self, info: os.stat_result) -> bool:
        return is_whiteout(info)

    def complete(self, fd: int) -> bool:
        try:
            return os.getxattr(f"/proc/self/fd/{fd}", OPAQUE_XATTR) == b"y"
        except OSError:
            return False

    def certain(self) -> bool:
        return True


class Whole:
    """A tree of its own: everything is there, and what is not was deleted."""

    def hides(self, info: os.stat_result) -> bool:
        return False

    def complete(self, fd: int) -> bool:
        return True

    def certain(self) -> bool:
        return False


@frozen
class _Item:
    """A change while its file is open. fd: O_PATH, -1 for a deletion."""

    kind: Kind
    path: bytes
    fd: int = -1
    info: os.stat_result | None = None


class Comparison:
    """One container against its layers.

    directory: its own tree; user_map: (first host id, count) that was added to owners there, None for none;
    mountpoints: absolute paths inside where things are mounted on start. Empty files and directories that were only
    made for that are no changes. Raises HostError, UnsupportedError for what lies too deep.
    """

    def __init__(
        self,
        directory: str,
        above: Above,
        below: Below,
        user_map: tuple[int, int] | None,
        mountpoints: frozenset[str],
    ) -> None:
        self._directory = directory
        self._above, self._below = above, below
        self._owner = _unmapped(*user_map) if user_map else same_id
        self._targets = {os.fsencode(path).strip(b"/") for path in mountpoints}
        self._ways = {target[:at] for target in self._targets for at in _ends(target)}
        self._pending: list[_Item] = []

    def changes(self) -> tuple[Change, ...]:
        """All changes, sorted by path."""
        with self._items() as items:
            found = [Change(item.kind, "/" + os.fsdecode(item.path)) for item in items]
        return tuple(sorted(found, key=lambda change: os.fsencode(change.path)))

    def layer(self, out: int) -> None:
        """Write them to the descriptor `out` as the tar of a layer with whiteouts, uncompressed; equal changes give
        equal bytes. Also raises UnsupportedError for names and files that no layer can hold, ConflictError when a file
        is cut while it is read."""
        writer = Writer(out)
        packer = Packer(writer, self._owner)
        with self._items() as items:
            for item in items:
                shown = os.fsdecode(item.path)[:200]
                above, _, name = item.path.rpartition(b"/")
                if item.info is None:
                    writer.add(Entry(join(above, _PREFIX + name), tar.FILE, mode=0))
                    continue
                if name.startswith(_PREFIX):
                    raise UnsupportedError(f"{shown!r} cannot be in a layer, where .wh. means a deletion: rename it")
                if is_whiteout(item.info):
                    raise UnsupportedError(f"{shown!r} is the device 0:0, which no layer can hold: remove it")
                with suppress(FileNotFoundError):
                    packer.one(item.fd, item.info, item.path)
        writer.finish()

    def _items(self) -> _Telling:
        return _Telling(self._directory, self._walk_all())

    def _walk_all(self) -> Iterator[_Item]:
        fd = os.open(self._directory, _FLAGS)
        try:
            yield from self._walk(fd, b"", True, self._above.complete(fd), 0)
        finally:
            os.close(fd)

    def _walk(self, directory: int, path: bytes, old: bool, complete: bool, depth: int) -> Iterator[_Item]:
        """The changes below `path`. old: whether the layers have a directory there; complete: whether it is hidden."""
        if depth > _DEPTH:
            raise UnsupportedError(f"{os.fsdecode(path)[:200]!r} lies more than {_DEPTH} directories deep")
        here = listed(directory)
        gone = set(self._below.names(path)) - set(here) if old and complete else set()
        for name in sorted({*here, *gone}):
            child = join(path, name)
            if name in gone:
                yield from self._flushed(_Item("D", child))
                continue
            try:
                fd = open_child(directory, name)
            except FileNotFoundError:
                continue
            try:
                yield from self._look(fd, child, old, complete, depth)
            finally:
                os.close(fd)

    def _look(self, fd: int, path: bytes, old: bool, complete: bool, depth: int) -> Iterator[_Item]:
        info = os.fstat(fd)
        before = self._below.open(path) if old else None
        try:
            if self._above.hides(info):
                if before is not None:
                    yield from self._flushed(_Item("D", path))
                return
            known = os.fstat(before) if before is not None else None
            kind: Kind = "A" if known is None else "C"
            item = _Item(kind, path, fd, info)
            if not stat.S_ISDIR(info.st_mode):
                if known is None:
                    real = not (path in self._targets and stat.S_ISREG(info.st_mode) and not info.st_size)
                else:
                    real = self._above.certain() or self._differs(fd, info, before, known)
                if real:
                    yield from self._flushed(item)
                return
            was_directory = known is not None and stat.S_ISDIR(known.st_mode)
            real = path not in self._ways if known is None else self._differs(fd, info, before, known)
        finally:
            if before is not None:
                os.close(before)
        if real:
            yield from self._flushed(item)
        else:
            # Told only if something below it is: it is on the way.
            self._pending.append(item)
        complete = complete or not was_directory or self._above.complete(fd)
        inner = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield from self._walk(inner, path, was_directory, complete, depth + 1)
        finally:
            os.close(inner)
        if self._pending and self._pending[-1] is item:
            self._pending.pop()

    def _flushed(self, item: _Item) -> Iterator[_Item]:
        waiting, self._pending = self._pending, []
        yield from waiting
        yield item

    def _differs(self, fd: int, info: os.stat_result, before: int | None, known: os.stat_result) -> bool:
        """As in Docker: a directory's time and size say nothing, because its children change them."""
        assert before is not None, "known is its stat"
        if (info.st_mode, self._owner(info.st_uid), self._owner(info.st_gid), info.st_rdev) != (
            known.st_mode,
            known.st_uid,
            known.st_gid,
            known.st_rdev,
        ):
            return True
        if stat.S_ISLNK(info.st_mode):
            return os.readlink("", dir_fd=fd) != os.readlink("", dir_fd=before)
        if not stat.S_ISDIR(info.st_mode) and (info.st_size, info.st_mtime_ns) != (known.st_size, known.st_mtime_ns):
            return True
        return xattrs(fd) != xattrs(before)


class _Telling:
    """The items, with errors of the file system told in cmanager's words and every descriptor closed at the end."""

    def __init__(self, directory: str, items: Iterator[_Item]) -> None:
        self._directory, self._items = directory, items

    def __enter__(self) -> Iterator[_Item]:
        return self._items

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()
        if isinstance(error, OSError):
            raise HostError.of("compare", self._directory, error) from None


class Plain:
    """`Below` on a directory that holds what the layers show; None for no layers at all. `close` it."""

    def __init__(self, directory: str | None) -> None:
        self._root = os.open(directory, _FLAGS) if directory else -1

    def open(self, path: bytes) -> int | None:
        if self._root < 0:
            return None
        above, _, name = path.rpartition(b"/")
        try:
            parent = inroot.open_beneath(self._root, above, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            return open_child(parent, name)
        except FileNotFoundError:
            return None
        finally:
            os.close(parent)

    def names(self, path: bytes) -> Iterable[bytes]:
        if self._root < 0:
            return ()
        fd = inroot.open_beneath(self._root, path, os.O_PATH | os.O_DIRECTORY)
        try:
            return listed(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close what is open."""
        if self._root >= 0:
            os.close(self._root)


def _unmapped(first: int, count: int) -> Callable[[int], int]:
    def owner(number: int) -> int:
        return number - first if first <= number < first + count else number

    return owner


def _ends(path: bytes) -> list[int]:
    return [*(at for at, letter in enumerate(path) if letter == ord("/")), len(path)]
