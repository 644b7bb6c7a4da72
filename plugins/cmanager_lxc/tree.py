"""What is made before lxc-execute begins, in the process that becomes it: mounts, namespaces, the cgroup, the terminal.

Paths under the root go through `inroot`, and everything vanishes with the mount namespace of that process.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from cmanager.errors import HostError
from cmanager.linux import cgroups, covers, inroot, mounts, nodes, pins, syscalls, sysctl, terminals
from cmanager.linux.mounts import Mount

from . import configuration
from .place import Place
from .plan import INSIDE, Plan, Space

_TOP, _TERMINALS = "/sys/fs/cgroup", "/dev/pts"


def build(plan: Plan, place: Place, console: int) -> None:
    """Make all of it in the calling process, which has descriptors 0, 1 and 2 already, or gets them with a terminal.

    console: where the terminal's master is sent. Raises HostError; the caller ends then.
    """
    with _step("make mounts private below", "/"):
        syscalls.unshare(syscalls.CLONE_NEWNS)
        # Not private: lxc-execute stays here, and what the host unmounts must go here too.
        syscalls.mount("none", "/", "none", syscalls.MS_SLAVE | syscalls.MS_REC)
        syscalls.mount("tmpfs", place.stage, "tmpfs", syscalls.MS_NOSUID, "mode=700")
        os.mkdir(place.root)
        os.mknod(f"{place.stage}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.chmod(f"{place.stage}/null", 0o666)
    cgroups.join_all(plan.cgroup)
    _enter_cgroup_namespace(plan.namespaces)
    for space in plan.spaces:
        _prepare(space, f"{place.stage}/{configuration.FILES[space.kind]}")
    opened = {number: _opened(mount) for number, mount in enumerate(plan.mounts) if mount.is_bind}
    with _step("open the root file system", plan.root):
        copy = syscalls.open_tree(syscalls.AT_FDCWD, plan.root, syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
        point = inroot.open_root(place.root)
        syscalls.move_mount(copy, point)
        os.close(point)
        os.close(copy)
        root = inroot.open_root(place.root)
    try:
        _fill(plan, place, root, opened)
        if plan.terminal:
            _make_terminal(plan, root, console)
        if plan.root_readonly:
            with _step("make the root read-only", plan.root):
                syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
    finally:
        os.close(root)
    hide_cgroups()
    os.chdir("/")
    os.umask(plan.umask)


def hide_cgroups() -> None:
    """Detach them in the caller's mount namespace: lxc would make cgroups of its own, at the top, and leave some."""
    for hierarchy in cgroups.hierarchies():
        with _step("detach", hierarchy.mountpoint):
            syscalls.umount(hierarchy.mountpoint, syscalls.MNT_DETACH)
    if os.path.ismount(_TOP):
        with _step("detach", _TOP):
            syscalls.umount(_TOP, syscalls.MNT_DETACH)


def _enter_cgroup_namespace(namespaces: dict[str, str]) -> None:
    """A new one begins at the cgroups of this moment (cgroup_namespaces(7))."""
    path = namespaces.get("cgroup", "none")
    with _step("enter", f"cgroup namespace {path}".rstrip()):
        if path == "":
            syscalls.unshare(syscalls.CLONE_NEWCGROUP)
        elif path != "none":
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            syscalls.setns(fd, syscalls.CLONE_NEWCGROUP)
            os.close(fd)


@contextmanager
def _step(doing: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError.of(doing, path, error) from None


# Namespaces


def _prepare(space: Space, pinned: str) -> None:
    """Set the parameters of a namespace: of one that there is, or of a new one that is bound to the file `pinned`."""
    flag, file = syscalls.NAMESPACES[space.kind]

    def enter() -> None:
        if space.path:
            fd = os.open(space.path, os.O_RDONLY | os.O_CLOEXEC)
            syscalls.setns(fd, flag)
        else:
            syscalls.unshare(flag)
            if space.hostname:
                syscalls.sethostname(space.hostname)
        _set_parameters(space.sysctls)

    with _step(f"set {', '.join(name for name, _ in space.sysctls)} in", f"the {space.kind} namespace"):
        pins.pin(pinned, file, enter)


def _set_parameters(sysctls: tuple[tuple[str, str], ...]) -> None:
    # A proc of our own: the host's may be read-only, or partly covered.
    proc = mounts.detached(Mount("proc", "proc", "/proc"))
    for name, value in sysctls:
        sysctl.write(proc, name, value)


# Mounts


def _opened(mount: Mount) -> int:
    with _step("open bind source", mount.source):
        return mounts.detached(mount)


def _fill(plan: Plan, place: Place, root: int, opened: dict[int, int]) -> None:
    apart = configuration.staged(plan, place)
    for number, mount in enumerate(plan.mounts):
        with _step(f"mount {mount.type} at", mount.target):
            if mount.type in ("proc", "sysfs") or mount.target == "/dev":
                covers.refuse_link(root, mount.target)
            if number in apart and mount.type == "cgroup" and not mount.is_bind:
                stage, name = inroot.open_root(place.stage), os.path.basename(apart[number])
                staged = Mount(mount.type, mount.source, name, mount.options)
                cgroups.mount_all(stage, staged, cgroups.hierarchies(), own_namespace="cgroup" in plan.namespaces)
                os.close(stage)
            elif number in apart:
                _place_apart(opened.pop(number, -1), mount, apart[number])
            elif mount.type in INSIDE and not mount.is_bind:
                os.close(inroot.make_directory(root, mount.target))
                # lxc walks to it by name: no link may lie on the way.
                os.close(inroot.open_beneath(root, mount.target.strip("/").encode(), os.O_PATH | os.O_DIRECTORY))
            elif number in opened:
                fd = opened.pop(number)
                mounts.place(fd, root, mount.target)
                os.close(fd)
            else:
                mounts.make(mount, root)
            if mount.target.rstrip("/") == _TERMINALS:
                _double(root)
    _populate_dev(plan, root)
    for path in plan.readonly:
        if not configuration.is_inside(plan, path):
            with _step("make read-only", path):
                covers.make_readonly(root, path)

    def empty() -> int:
        return syscalls.open_tree(syscalls.AT_FDCWD, f"{place.stage}/null", syscalls.OPEN_TREE_CLONE)

    for path in plan.masked:
        if not configuration.is_inside(plan, path):
            with _step("mask", path):
                covers.mask(root, path, empty)


def _double(root: int) -> None:
    """A second time on top, for lxc removes whatever is mounted there and has only its own words for another."""
    point = inroot.open_in(root, _TERMINALS, os.O_PATH | os.O_DIRECTORY)
    copy = syscalls.open_tree(point, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE)
    syscalls.move_mount(copy, point)
    os.close(copy)
    os.close(point)


def _place_apart(fd: int, mount: Mount, path: str) -> None:
    fd = mounts.detached(mount) if fd < 0 else fd
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.mkdir(path)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
    point = os.open(path, os.O_PATH | os.O_CLOEXEC)
    syscalls.move_mount(fd, point)
    os.close(point)
    os.close(fd)


def _populate_dev(plan: Plan, root: int) -> None:
    with _step("populate", "/dev"):
        covers.refuse_link(root, "/dev")
    os.umask(0)
    for node in plan.nodes:
        with _step("make device", node.path):
            nodes.make(root, node)
    with _step("make links in", "/dev"):
        nodes.link(root)
    os.umask(0o022)


# The terminal


def _make_terminal(plan: Plan, root: int, console: int) -> None:
    """In the container's own devpts, as the three descriptors of this process; lxc's init makes it the controlling one.

    lxc's console would pass everything through a second terminal, and end after the program has.
    """
    with _step("make the terminal in", _TERMINALS):
        point = inroot.open_in(root, _TERMINALS, os.O_PATH | os.O_DIRECTORY)
        see_terminals(syscalls.open_tree(point, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE))
        os.close(point)
        master = os.open(f"{_TERMINALS}/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        terminals.unlock(master)
        peer = terminals.open_peer(master)
        terminals.send(console, master)
        os.fchown(peer, plan.who.uid, -1)
        terminals.place_console(root, peer)
        for number in range(3):
            os.dup2(peer, number)
        os.close(peer)


def see_terminals(devpts: int) -> None:
    """Attach a container's devpts, detached, where the caller's mount namespace has one; closes it.

    A terminal keeps the name that it was opened by, and so it has the one that the container knows it by.
    """
    here = inroot.open_root(_TERMINALS)
    syscalls.move_mount(devpts, here)
    os.close(here)
    os.close(devpts)
