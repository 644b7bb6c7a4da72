"""What is put over paths of a container: nothing to read, nothing to write, and no link where there must be none.

Paths below a root go through `inroot`. Everything raises OSError.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from . import inroot, mounts, syscalls
from .mounts import Mount


def refuse_link(root: int, path: str) -> None:
    """/proc, /sys and /dev of an image must be ordinary directories, or nothing (CVE-2023-27561, CVE-2026-41579)."""
    try:
        fd = inroot.open_in(root, path, os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    mode = os.fstat(fd).st_mode
    os.close(fd)
    if not stat.S_ISDIR(mode):
        raise OSError(errno.ENOTDIR, "the image has no ordinary directory there", path)


def make_readonly(root: int, path: str) -> None:
    """Bind a path over itself, read-only with all that is mounted below; one that is not there is left alone."""
    here = _there(root, path)
    if here < 0:
        return
    copy = syscalls.open_tree(here, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
    syscalls.mount_setattr(copy, "", syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE, add=syscalls.MOUNT_ATTR_RDONLY)
    syscalls.move_mount(copy, here)
    os.close(copy)
    os.close(here)


def mask(root: int, path: str, empty: Callable[[], int]) -> None:
    """Cover a directory with an empty one, anything else with what `empty` opens; what is not there is left alone.

    empty: makes a detached mount of a file (open_tree(2)), which is closed here.
    """
    here = _there(root, path)
    if here < 0:
        return
    if stat.S_ISDIR(os.fstat(here).st_mode):
        cover = mounts.detached(Mount("tmpfs", "tmpfs", path, ("ro", "size=0", "nr_inodes=2", "mode=0755")))
    else:
        cover = empty()
    syscalls.move_mount(cover, here)
    os.close(cover)
    os.close(here)


def _there(root: int, path: str) -> int:
    try:
        return inroot.open_in(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return -1
