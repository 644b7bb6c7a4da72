"""The root file system of one container, mounted where only its supervisor looks."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ..errors import HostError, UnsupportedError
from ..linux import inroot, mounts, syscalls
from ..linux.mounts import Mount
from ..linux.process import Process
from ..plugins import Plugins
from ..seams import Storage


def store(plugins: Plugins, name: str) -> Storage:
    """The storage provider `name` as one that holds root file systems. Raises UnsupportedError when it does not."""
    storage = plugins.get("storage", name)
    if not isinstance(storage, Storage):
        at = plugins.config.where("defaults")
        raise UnsupportedError(
            f"storage plugin {name!r} keeps no root file systems, only volumes: set another under {at}"
        )
    return storage


def mount(parts: tuple[Mount, ...], directory: str, userns: str, first: int = 0) -> None:
    """Mount `parts` on `directory/rootfs` in the caller's private mount namespace.

    userns: path of the container's user namespace, "" for none; first: the host id of its root. With one every layer is
    seen through an id-mapped copy of the directory that holds them all, so that layers keep the ids they have in the
    image and are shared by all containers. Raises HostError.
    """
    target = f"{directory}/rootfs"
    os.makedirs(target, mode=0o755, exist_ok=True)
    try:
        if userns:
            parts = tuple(_mapped(part, f"{directory}/mapped{n}", userns, first) for n, part in enumerate(parts))
        mounts.make_rootfs(parts, target)
    except OSError as error:
        said = f"{error.strerror}".lower()
        raise HostError(f"mount the root file system ({said}) at", target, error.errno or 0) from None


def share_shm(owner: Process, directory: str) -> str:
    """The /dev/shm of another container, whose first process is `owner`, mounted below `directory`; returns where.

    POSIX shared memory is files (shm_overview(7)): who shares an ipc namespace shares those too. Raises HostError.
    """
    target = f"{directory}/shm"
    os.makedirs(target, mode=0o700, exist_ok=True)
    try:
        tree = mounts.of_process(owner, "/dev/shm")
        try:
            point = inroot.open_root(target)
            syscalls.move_mount(tree, point)
            os.close(point)
        finally:
            os.close(tree)
    except OSError as error:
        raise HostError.of("share /dev/shm of process", str(owner.pid), error) from None
    return target


def unmount(directory: str) -> None:
    """Undo `mount`. Idempotent."""
    for name in ("rootfs", "shm", *(name for name in _names(directory) if name.startswith("mapped"))):
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


def _mapped(part: Mount, scratch: str, userns: str, first: int) -> Mount:
    """The same mount with what it only reads seen through one id-mapped bind of the directory above it all.

    An overlay's upper directory is written by the kernel as the host's root, who has no id in such a bind: there the
    files themselves belong to the mapped ids, from the container's first start on.
    """
    if part.is_bind:
        base, shifted = part.source, []
    else:
        pairs = [option.partition("=")[::2] for option in part.options]
        base = os.path.commonpath([value for key, value in pairs if key.startswith("lowerdir")])
        shifted = [value for key, value in pairs if key == "upperdir"]
    for directory in shifted:
        _shift(directory, first)
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
    options = tuple(
        option.replace(f"={base}", f"={scratch}", 1) if option.startswith("lowerdir") else option
        for option in part.options
    )
    return Mount(part.type, source, part.target, options)


def _shift(directory: str, first: int) -> None:
    """Add `first` to every owner below, once: the directory itself is the mark, so it comes last."""
    if os.stat(directory).st_uid >= first:
        return
    for parent, directories, names, fd in os.fwalk(directory, topdown=False, follow_symlinks=False):
        for name in (*directories, *names):
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if found.st_uid < first:
                ids = (first + found.st_uid, first + found.st_gid)
                os.chown(name, *ids, dir_fd=fd, follow_symlinks=False)
                if not stat.S_ISLNK(found.st_mode):
                    os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=fd)  # chown clears setuid
        if parent == directory:
            os.chown(directory, first, first)
