"""Directories that layers use without describing them.

An archive may hold `srv/www/index` and no entry for `srv` or `srv/www`: then they look as the layers below say.
overlayfs shows a merged directory as its topmost layer has it, so for those few the container's own directory gets a
copy of the right one. Most layers describe all their directories, and there is nothing to do.
"""

from __future__ import annotations

import errno
import json
import os
import stat

from cmanager.errors import CorruptError, UnsupportedError
from cmanager.linux import inroot
from cmanager.linux.layers.whiteouts import is_whiteout

_OPAQUE = "trusted.overlay.opaque"


class Stack:
    """Layer directories, the topmost first, seen the way overlayfs merges them. `close` it.

    Costs one read per layer, and for each directory that is missing in one a look at each layer that has its parent.
    """

    def __init__(self, layers: list[str]) -> None:
        self._layers = layers
        self._missing = [_missing(layer) for layer in layers]
        self._roots = [-1] * len(layers)
        self._merged: dict[str, list[int]] = {"": list(range(len(layers)))}

    def close(self) -> None:
        """Close what was opened."""
        for root in self._roots:
            if root >= 0:
                os.close(root)

    def describe(self, upper: str) -> None:
        """Make in the new directory `upper` what must hide a wrong description, and give `upper` itself the right one.

        Raises UnsupportedError when a layer uses as a directory what is a link or a file further down: where it should
        write then depends on the layers below, which overlay layers do not know. Raises OSError.
        """
        wrong = sorted(path for path in set().union(*self._missing) if path and self._is_wrong(path))
        root = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            made = {"": True}
            for path in wrong:
                for end in (*(at for at, letter in enumerate(path) if letter == "/"), len(path)):
                    if path[:end] not in made:
                        parent, _, name = path[:end].rpartition("/")
                        above = inroot.open_in(root, parent, os.O_RDONLY | os.O_DIRECTORY)
                        try:
                            os.mkdir(name, 0o700, dir_fd=above)
                        finally:
                            os.close(above)
                        made[path[:end]] = True
            # Deepest first: making a directory changes the time of the one around it.
            for path in reversed(made):
                self._copy(path, root)
        finally:
            os.close(root)

    def open(self, path: bytes) -> int | None:
        """The file that the layers show at `path` (O_PATH, itself if it is a link), a directory as the layer has it
        that describes it; None where there is none. The caller closes it. Raises OSError."""
        text = os.fsdecode(path)
        parent = text.rpartition("/")[0]
        for number in self._merge(parent):
            info = self._look(number, text)
            if info is not None:
                if is_whiteout(info):
                    return None
                described = self._source(text) if stat.S_ISDIR(info.st_mode) else number
                root = self._root(number if described is None else described)
                return inroot.open_in(root, text, os.O_PATH | os.O_NOFOLLOW)
            if self._is_opaque(number, parent):
                break
        return None

    def names(self, path: bytes) -> set[bytes]:
        """What the layers show in the directory at `path`; raises OSError."""
        text = os.fsdecode(path)
        shown: dict[bytes, bool] = {}
        for number in self._merge(text):
            fd = inroot.open_in(self._root(number), text, os.O_RDONLY | os.O_DIRECTORY)
            try:
                for name in os.listdir(fd):
                    info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    shown.setdefault(os.fsencode(name), not is_whiteout(info))
                if is_opaque(fd):
                    break
            finally:
                os.close(fd)
        return {name for name, visible in shown.items() if visible}

    def _is_wrong(self, path: str) -> bool:
        """Whether overlayfs would show `path` as a layer has it that does not describe it, though another one does."""
        merged = self._merge(path)
        return bool(merged) and path in self._missing[merged[0]] and self._source(path) != merged[0]

    def _source(self, path: str) -> int | None:
        """The layer that describes directory `path`, else the topmost that has it, else None."""
        merged = self._merge(path)
        return next((n for n in merged if path not in self._missing[n]), merged[0] if merged else None)

    def _merge(self, path: str) -> list[int]:
        """The layers whose directories `path` overlayfs merges, the topmost first; empty when it shows none."""
        if path in self._merged:
            return self._merged[path]
        parent = path.rpartition("/")[0]
        merged = self._merge(parent)
        found: list[int] = []
        if len(merged) == 1:
            # One layer alone is right about all that is below, and it may be a lot.
            found, merged = merged, []
        for number in merged:
            info = self._look(number, path)
            if info is not None:
                if not stat.S_ISDIR(info.st_mode):
                    self._refuse(number, path, info, found)
                    break
                found.append(number)
            if self._is_opaque(number, parent):
                break
        self._merged[path] = found
        return found

    def _refuse(self, number: int, path: str, info: os.stat_result, above: list[int]) -> None:
        if not is_whiteout(info) and above and all(path in self._missing[n] for n in above):
            raise UnsupportedError(
                f"layer {os.path.basename(self._layers[above[-1]])} writes below {path[:200]!r}, which is no directory "
                f"in layer {os.path.basename(self._layers[number])}: overlay cannot follow it there, use storage vfs"
            )

    def _look(self, number: int, path: str) -> os.stat_result | None:
        # The parents are directories of this layer, seen before: no link can be on the way.
        try:
            fd = inroot.open_in(self._root(number), path, os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _is_opaque(self, number: int, path: str) -> bool:
        fd = inroot.open_in(self._root(number), path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return is_opaque(fd)
        finally:
            os.close(fd)

    def _copy(self, path: str, root: int) -> None:
        """Owner, xattrs, mode and times of a directory."""
        number = self._source(path)
        if number is None:
            return
        source = inroot.open_in(self._root(number), path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            target = inroot.open_in(root, path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                info = os.fstat(source)
                os.fchown(target, info.st_uid, info.st_gid)
                for name in os.listxattr(source):
                    if not name.startswith("trusted."):
                        os.setxattr(target, name, os.getxattr(source, name))
                os.fchmod(target, stat.S_IMODE(info.st_mode))
                os.utime(target, ns=(info.st_mtime_ns, info.st_mtime_ns))
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _root(self, number: int) -> int:
        if self._roots[number] < 0:
            self._roots[number] = inroot.open_root(f"{self._layers[number]}/fs")
        return self._roots[number]


def is_opaque(directory: str | int) -> bool:
    """Whether a layer's directory hides the children that it has further down; raises OSError."""
    try:
        return os.getxattr(directory, _OPAQUE) == b"y"
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return False


def _missing(layer: str) -> frozenset[str]:
    path = f"{layer}/missing.json"
    try:
        with open(path, encoding="ascii") as file:
            return frozenset(json.load(file))
    except (ValueError, TypeError):
        raise CorruptError(f"{path} cannot be read, remove the directory {layer}") from None
