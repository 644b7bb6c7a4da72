"""How much of a disk a directory takes."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_DEPTH = 256
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def disk_usage(path: str) -> int:
    """Bytes allocated for everything below the directory at `path`, hard links once; what vanishes meanwhile, or lies
    deeper than 256 directories, is not counted. No link is followed. One stat per file."""
    total = 0
    linked: set[int] = set()
    stack: list[tuple[int, list[str]]] = []
    try:
        _descend(stack, path, None)
        while stack:
            fd, names = stack[-1]
            if not names:
                os.close(stack.pop()[0])
                continue
            name = names.pop()
            with suppress(OSError):
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    total += info.st_blocks * 512
                    if len(stack) < _DEPTH:
                        _descend(stack, name, fd)
                elif info.st_nlink == 1 or info.st_ino not in linked:
                    total += info.st_blocks * 512
                    if info.st_nlink > 1:
                        linked.add(info.st_ino)
    finally:
        for fd, _ in stack:
            os.close(fd)
    return total


def _descend(stack: list[tuple[int, list[str]]], name: str, above: int | None) -> None:
    with suppress(OSError):
        fd = os.open(name, _FLAGS, dir_fd=above)
        stack.append((fd, []))
        stack[-1][1].extend(os.listdir(fd))
