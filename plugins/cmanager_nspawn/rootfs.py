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
from cmanager.linux import covers, inroot, mounts, netns, nodes, syscalls

from .plan import Plan

#: It refuses a root without /usr, and makes the others.
_DIRECTORIES = ("usr", "proc", "sys", "dev", "run", "tmp")


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
    for node in plan.nodes:
        yield f"make device {node.path}"
        nodes.make(root, node)
    yield "make what covers paths"
    inaccessible = inroot.make_directory(root, "/run/systemd/inaccessible")
    # Where systemd-nspawn looks for what it covers paths of /proc with; it goes on without when there is none.
    os.mkdir("dir", 0o555, dir_fd=inaccessible)
    os.mknod("reg", stat.S_IFREG | 0o444, dir_fd=inaccessible)
    for path in plan.readonly:
        yield f"make {path} read-only"
        covers.make_readonly(root, path)

    def empty() -> int:
        cover = syscalls.open_tree(inaccessible, "reg", syscalls.OPEN_TREE_CLONE)
        syscalls.mount_setattr(cover, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
        return cover

    for path in plan.masked:
        yield f"mask {path}"
        covers.mask(root, path, empty)
    if plan.root_readonly:
        yield "make the root read-only"
        syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
