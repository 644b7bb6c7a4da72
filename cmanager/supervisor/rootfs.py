"""The root file system of one container, mounted where only its supervisor looks."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ..errors import HostError, UnsupportedError
from ..linux import inroot, mounts, syscalls
from ..linux.mounts import Mount


def mount(parts: tuple[Mount, ...], directory: str, userns: str) -> None:
    """Mount `parts` on `directory/rootfs` in the caller's private mount namespace.

    userns: path of the container's user namespace, "" for none; then every layer is seen through an id-mapped copy of
    the directory that holds them all, so that files on disk keep the ids they have in the image. Raises HostError.
    """
    target = f"{directory}/rootfs"
    os.makedirs(target, mode=0o755, exist_ok=True)
    try:
        if userns:
            parts = tuple(_mapped(part, f"{directory}/mapped{n}", userns) for n, part in enumerate(parts))
        mounts.make_rootfs(parts, target)
    except OSError as error:
        said = f"{error.strerror}".lower()
        raise HostError(f"mount the root file system ({said}) at", target, error.errno or 0) from None


def unmount(directory: str) -> None:
    """Undo `mount`. Idempotent."""
    for name in ("rootfs", *(name for name in _names(directory) if name.startswith("mapped"))):
        with suppress(OSError):
            syscalls.umount(f"{directory}/{name}", syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)


def check(root: int, image: str) -> None:
    """Refuse an image whose /dev, /proc or /sys is a link: runtimes write there (CVE-2023-27561, CVE-2026-41579)."""
    for name in ("dev", "proc", "sys"):
        try:
            fd = inroot.open_in(root, name, os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        mode = os.fstat(fd).st_mode
        os.close(fd)
        if not stat.S_ISDIR(mode):
            raise UnsupportedError(f"image {image} has no ordinary directory /{name}, it is refused")


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _mapped(part: Mount, scratch: str, userns: str) -> Mount:
    """The same mount with every path seen through one id-mapped bind of the directory above them all."""
    if part.is_bind:
        base = part.source
    else:
        pairs = (option.partition("=") for option in part.options)
        base = os.path.commonpath([value for key, _, value in pairs if value.startswith("/") and "dir" in key])
    os.makedirs(scratch, mode=0o700, exist_ok=True)
    tree = syscalls.open_tree(syscalls.AT_FDCWD, base, syscalls.OPEN_TREE_CLONE)
    namespace = os.open(userns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.mount_setattr(tree, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_IDMAP, userns=namespace)
        point = inroot.open_root(scratch)
        syscalls.move_mount(tree, point)
        os.close(point)
    finally:
        os.close(tree)
        os.close(namespace)
    source = scratch if part.is_bind else part.source
    options = tuple(option.replace(f"={base}", f"={scratch}", 1) for option in part.options)
    return Mount(part.type, source, part.target, options)
