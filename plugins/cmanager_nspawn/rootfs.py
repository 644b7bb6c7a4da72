"""The root file system as systemd-nspawn finds it: mounts, devices, covered and read-only paths are there already.

It would mount in the order of their names, knows few options, and follows its own ideas of /tmp, /dev/shm and others;
a mount point that it finds it leaves alone. Runs in the process that becomes systemd-nspawn, in a mount namespace of
its own. Paths below the root go through `inroot`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import nullcontext

from cmanager.errors import CmanagerError
from cmanager.linux import inroot, mounts, netns, syscalls
from cmanager.linux.mounts import Mount

from .plan import Plan

#: It refuses a root without /usr, and makes the others.
_DIRECTORIES = ("usr", "proc", "sys", "dev", "run", "tmp")
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def prepare(plan: Plan) -> None:
    """Make all of it. Raises CmanagerError with the step, the path and the errno."""
    doing = "begin"
    try:
        for step in _steps(plan):
            doing = step
    except OSError as error:
        said = error.strerror or str(error)
        raise CmanagerError(f"cannot {doing}: {said[:1].lower()}{said[1:]} (errno {error.errno})") from None


def _steps(plan: Plan) -> Iterator[str]:
    yield "make a mount namespace"
    mounts.make_private_namespace()
    yield f"open the root file system {plan.root}"
    root = inroot.open_root(plan.root)
    for name in _DIRECTORIES:
        yield f"make /{name}"
        os.close(inroot.make_directory(root, f"/{name}"))
    for mount in plan.mounts:
        yield f"mount {mount.type} at {mount.target}"
        # A sysfs shows the network namespace that it is mounted in.
        with netns.entered(plan.netns) if mount.type == "sysfs" and plan.netns else nullcontext():
            mounts.make(mount, root)
    os.umask(0)
    for device in plan.devices:
        yield f"make device {device['path']}"
        above, _, name = device["path"].rpartition("/")
        directory = inroot.make_directory(root, above)
        number = os.makedev(device.get("major", 0), device.get("minor", 0))
        os.mknod(name, _KINDS[device["type"]] | device.get("fileMode", 0o666) & 0o7777, number, dir_fd=directory)
        os.chown(name, device.get("uid", 0), device.get("gid", 0), dir_fd=directory, follow_symlinks=False)
        os.close(directory)
    yield "make what covers paths"
    covers = inroot.make_directory(root, "/run/systemd/inaccessible")
    # Where systemd-nspawn looks for what it covers paths of /proc with; it goes on without when there is none.
    os.mkdir("dir", 0o555, dir_fd=covers)
    os.mknod("reg", stat.S_IFREG | 0o444, dir_fd=covers)
    for path in plan.readonly:
        yield f"make {path} read-only"
        _make_readonly(root, path)
    for path in plan.masked:
        yield f"mask {path}"
        _mask(root, path, covers)
    if plan.root_readonly:
        yield "make the root read-only"
        syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)


def _make_readonly(root: int, path: str) -> None:
    try:
        here = inroot.open_in(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return
    copy = syscalls.open_tree(here, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
    syscalls.mount_setattr(copy, "", syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE, add=syscalls.MOUNT_ATTR_RDONLY)
    syscalls.move_mount(copy, here)


def _mask(root: int, path: str, covers: int) -> None:
    """Cover a directory with an empty one, a file with an empty one."""
    try:
        here = inroot.open_in(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(os.fstat(here).st_mode):
        cover = mounts.detached(Mount("tmpfs", "tmpfs", path, ("ro", "size=0", "nr_inodes=2", "mode=0755")))
    else:
        cover = syscalls.open_tree(covers, "reg", syscalls.OPEN_TREE_CLONE)
        syscalls.mount_setattr(cover, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
    syscalls.move_mount(cover, here)
