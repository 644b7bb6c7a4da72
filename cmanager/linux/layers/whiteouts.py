"""Whiteouts: how a layer says what of the layers below it is gone (OCI image-spec, layer.md, "Whiteouts").

`.wh.NAME` hides NAME, `.wh..wh..opq` all children of its directory; both mean the layers below, never entries of the
same layer, wherever in the archive they stand. `Overlay` writes them in overlayfs' own form beside the layer's files,
`Apply` carries them out on a tree that already holds the layers below.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Protocol

from ...errors import CorruptError, UnsupportedError
from .tree import IMPLIED_MODE, Directory, Follower, Tree, join

OPAQUE_XATTR = "trusted.overlay.opaque"
_PREFIX = b".wh."
_OPAQUE = b".wh..wh..opq"


class Style(Follower, Protocol):
    """One way to keep whiteouts; told of everything the unpacker does."""

    def begin(self, tree: Tree) -> None:
        """Called once, before the first entry."""

    def added(self, directory: Directory, name: bytes) -> None:
        """An entry made `name`, which may have existed before if it is a directory."""

    def announced(self, directory: Directory) -> None:
        """An entry described this directory itself."""

    def replaced(self, directory: Directory) -> None:
        """This directory took the place of something else."""

    def linkable(self, info: os.stat_result) -> bool:
        """Whether a hard link of this layer may lead to this file."""

    def hide(self, directory: Directory, name: bytes) -> None:
        """Carry out `.wh.NAME`."""

    def hide_children(self, directory: Directory) -> None:
        """Carry out `.wh..wh..opq`."""


def read(parts: list[bytes]) -> tuple[bytes, bool] | None:
    """Whether the entry with these path components is a whiteout: (hidden name, False), (b"", True) for an opaque
    marker, None for neither. Raises CorruptError for names that the specification reserves and gives no meaning."""
    if any(part.startswith(_PREFIX) for part in parts[:-1]):
        raise CorruptError("it lies below a whiteout")
    name = parts[-1] if parts else b""
    if not name.startswith(_PREFIX):
        return None
    if name == _OPAQUE:
        return b"", True
    hidden = name[len(_PREFIX) :]
    if hidden in (b"", b".", b"..") or hidden.startswith(_PREFIX):
        raise CorruptError("it is a whiteout of nothing that can exist")
    return hidden, False


class Overlay:
    """Whiteouts as overlayfs reads them: a character device 0:0, and an xattr on opaque directories.

    The tree begins empty. `missing` holds, when all is done, the directories that the layer uses but does not describe:
    what they look like is up to the layers below (b"" is the root). Needs root and a file system with trusted xattrs.
    """

    def __init__(self) -> None:
        self.missing: set[bytes] = {b""}

    def begin(self, tree: Tree) -> None:
        os.chmod(f"/proc/self/fd/{tree.root}", IMPLIED_MODE)
        tree.set_time(b"", 0)

    def entered(self, directory: Directory) -> None:
        """Directories need no record: all of them belong to this layer."""

    def added(self, directory: Directory, name: bytes) -> None:
        """Entries need no record: all of them belong to this layer."""

    def implied(self, directory: Directory, name: bytes, instead: os.stat_result | None) -> bool:
        if instead is None:
            os.mkdir(name, dir_fd=directory.fd)
            self.missing.add(join(directory.path, name))
            return True
        if not is_whiteout(instead):
            return False
        os.unlink(name, dir_fd=directory.fd)
        os.mkdir(name, dir_fd=directory.fd)
        self._make_opaque(directory, name)
        return True

    def announced(self, directory: Directory) -> None:
        self.missing.discard(directory.path)

    def replaced(self, directory: Directory) -> None:
        self._set(f"/proc/self/fd/{directory.fd}")

    def linkable(self, info: os.stat_result) -> bool:
        return not is_whiteout(info)

    def hide(self, directory: Directory, name: bytes) -> None:
        try:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory.fd)
        except FileExistsError:
            there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
            if stat.S_ISDIR(there.st_mode):
                # The layer has a directory of that name too: it stays, and nothing below shows through it.
                self._make_opaque(directory, name)
                self.missing.discard(join(directory.path, name))

    def hide_children(self, directory: Directory) -> None:
        self._set(f"/proc/self/fd/{directory.fd}")

    def _make_opaque(self, directory: Directory, name: bytes) -> None:
        self._set(f"/proc/self/fd/{directory.fd}/{os.fsdecode(name)}")

    def _set(self, path: str) -> None:
        try:
            os.setxattr(path, OPAQUE_XATTR, b"y")
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            raise UnsupportedError(
                "this file system keeps no trusted xattrs, which overlay needs: use storage vfs or another --root"
            ) from None


class Apply:
    """Whiteouts carried out on a tree that holds the layers below.

    What belongs to this layer is known by inode number: while the tree is private to the unpacker, a number that a file
    of the layers below has cannot be given to a new one. Memory: one number for each file of the layer.
    """

    def __init__(self) -> None:
        self._ours: set[int] = set()
        self._announced: set[int] = set()
        self._tree: Tree

    def begin(self, tree: Tree) -> None:
        self._tree = tree
        self._ours.add(os.stat(b".", dir_fd=tree.root).st_ino)

    def entered(self, directory: Directory) -> None:
        upwards = b"."
        while (inode := os.stat(upwards, dir_fd=directory.fd).st_ino) not in self._ours:
            self._ours.add(inode)
            upwards += b"/.."

    def added(self, directory: Directory, name: bytes) -> None:
        self._ours.add(os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_ino)

    def implied(self, directory: Directory, name: bytes, instead: os.stat_result | None) -> bool:
        if instead is not None:
            return False
        os.mkdir(name, dir_fd=directory.fd)
        return True

    def announced(self, directory: Directory) -> None:
        self._announced.add(os.stat(b".", dir_fd=directory.fd).st_ino)

    def replaced(self, directory: Directory) -> None:
        """What was there is removed already."""

    def linkable(self, info: os.stat_result) -> bool:
        return info.st_ino in self._ours

    def hide(self, directory: Directory, name: bytes) -> None:
        try:
            there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if there.st_ino not in self._ours:
            self._tree.remove(directory, name)
            self._tree.close()
        elif stat.S_ISDIR(there.st_mode):
            self._empty(join(directory.path, name), there)
            self._tree.close()

    def hide_children(self, directory: Directory) -> None:
        self._purge(directory)
        self._tree.close()

    def _purge(self, directory: Directory) -> None:
        """Remove what this layer did not bring, at any depth; depth is bounded by the tree."""
        self._tree.keep_time(directory)
        for name in os.listdir(f"/proc/self/fd/{directory.fd}"):
            child = os.fsencode(name)
            info = os.stat(child, dir_fd=directory.fd, follow_symlinks=False)
            if info.st_ino not in self._ours:
                self._tree.remove(directory, child)
            elif stat.S_ISDIR(info.st_mode):
                self._empty(join(directory.path, child), info)

    def _empty(self, path: bytes, info: os.stat_result) -> None:
        """A directory of ours whose counterpart below is gone: nothing of that remains, not even its attributes."""
        fd = self._tree.reopen(path)
        try:
            self._purge(Directory(fd, path))
            if info.st_ino not in self._announced:
                os.fchown(fd, 0, 0)
                os.fchmod(fd, IMPLIED_MODE)
                for xattr in os.listxattr(fd):
                    os.removexattr(fd, xattr)
                self._tree.set_time(path, 0)
        finally:
            os.close(fd)


def is_whiteout(info: os.stat_result) -> bool:
    """Whether overlayfs would take this file for a deletion."""
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0
