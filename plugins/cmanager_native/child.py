"""The container's first process, between clone and exec.

It makes the mounts and changes the root; `program` does the rest, under the same rules. Paths under the root go through
`inroot` on the descriptor `root`.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import NoReturn

from attrs import define

from cmanager.linux import covers, inroot, mounts, nodes, programs, syscalls, sysctl, terminals
from cmanager.linux.cgroups import Hierarchy, go_through, mount_all
from cmanager.linux.mounts import Mount
from cmanager.linux.nodes import Node
from cmanager.model import Stdio

from . import hooks, init, program, terminal
from .plan import Plan
from .program import Doing


@define
class Place:
    """Where the container is put. hierarchies: the host's; doors: into its cgroups of v1, until it has gone through."""

    hierarchies: tuple[Hierarchy, ...]
    doors: tuple[int, ...]

    def enter(self) -> None:
        """Go through. Raises OSError."""
        doors, self.doors = self.doors, ()
        go_through(doors)


def run(plan: Plan, stdio: Stdio, parent: socket.socket, place: Place, state: bytes) -> NoReturn:
    """Become the container. Never returns: ends in the program, or in exit after telling the parent why not."""
    doing = Doing()
    try:
        programs.reset_signals()
        _prepare(plan, stdio, parent, place, state, doing)
        doing("close descriptors")
        parent = program.keep_only(parent)
        program.change_directory(plan.program.cwd, doing)
        parent.send(program.CREATED)
        doing("wait for start")
        if parent.recv(1) != program.START:
            os._exit(125)
        doing("run startContainer hooks")
        hooks.run(plan.hooks.get("startContainer", ()), state)
        program.load_filter(plan.program.credentials, doing)
        if plan.init:
            doing("start the program under init")
            init.start(plan.program.terminal, lambda: program.execute(plan.program, parent), parent)
        program.execute(plan.program, parent)
    except OSError as error:
        program.fail(parent, 125, str(doing), error)
    except hooks.HookFailed as error:
        program.tell(parent, 125, str(error))
    except BaseException as error:
        program.tell(parent, 125, f"{doing}: {type(error).__name__}: {error}")
    os._exit(125)


def _prepare(plan: Plan, stdio: Stdio, parent: socket.socket, place: Place, state: bytes, doing: Doing) -> None:
    # Whoever shares our pid namespace must not look at this process or its executable (CVE-2016-9962, 2019-5736).
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    doing("make mounts private")
    syscalls.mount("none", "/", "none", plan.propagation | syscalls.MS_REC)
    # The host's paths first: still the host's root, this process may walk directories that a mapped root may not.
    doing("open the root file system", plan.root)
    root = _own_mount(plan.root)
    binds = _open_binds(plan.mounts, doing)
    waited = False
    if plan.has_user_namespace:
        waited = _wait_for_go(plan, parent, place, doing)
        doing("become root of the user namespace")
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    doing("open a private proc")
    sysctl_proc = mounts.detached(Mount("proc", "proc", "/proc")) if plan.sysctls else -1
    for number, mount in enumerate(plan.mounts):
        doing(f"mount {mount.type} at", mount.target)
        if mount.type == "cgroup":
            waited = waited or _wait_for_go(plan, parent, place, doing)
            doing("mount cgroup at", mount.target)
            mount_all(root, mount, place.hierarchies, own_namespace=plan.has_cgroup_namespace)
        elif number in binds:
            mounts.place(binds[number], root, mount.target)
            os.close(binds[number])
        else:
            _mount(mount, root)
    _populate_dev(plan, root, doing)
    peer = -1
    if plan.program.terminal:
        doing("make the terminal in", "/dev/pts")
        master, peer = terminal.open_pair(root)
        terminals.send(stdio.console, master)
        os.fchown(peer, plan.program.credentials.uid, -1)
        terminals.place_console(root, peer)
    doing("join the cgroup", plan.cgroup)
    place.enter()
    doing("run createContainer hooks")
    hooks.run(plan.hooks.get("createContainer", ()), state)
    if not waited:
        _wait_for_go(plan, parent, place, doing)
    for path, value in plan.sysctls:
        doing("set sysctl", path)
        sysctl.write(sysctl_proc, path, value)
    for path in plan.readonly:
        doing("make read-only", path)
        covers.make_readonly(root, path)
    for path in plan.masked:
        doing("mask", path)
        covers.mask(root, path, lambda: _null(root))
    if plan.root_readonly:
        doing("make the root read-only")
        syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
    doing("change the root to", plan.root)
    os.fchdir(root)
    syscalls.pivot_root(".", ".")
    # The old root now lies on top of the new one at "."; detaching it leaves only the container.
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")
    if plan.hostname:
        doing("set the host name", plan.hostname)
        syscalls.sethostname(plan.hostname)
    if plan.domainname:
        doing("set the domain name", plan.domainname)
        syscalls.setdomainname(plan.domainname)
    doing("leave the session keyring")
    try:
        syscalls.new_session_keyring()
    except OSError as error:
        # EDQUOT: 200 keys a user (row D-16); ENOSYS: no keyrings in this kernel, so nothing to share.
        if error.errno not in (errno.EDQUOT, errno.ENOSYS):
            raise
    doing("set up standard input and output")
    os.setsid()
    if peer >= 0:
        terminal.control(peer)
    for number, fd in enumerate((peer, peer, peer) if peer >= 0 else stdio.streams):
        os.dup2(fd, number)
    program.become(plan.program.credentials, doing)


def _wait_for_go(plan: Plan, parent: socket.socket, place: Place, doing: Doing) -> bool:
    doing("join the cgroup", plan.cgroup)
    place.enter()
    doing("wait for the parent")
    program.wait_for_go(parent)
    if plan.new_cgroup_namespace:
        # Its root is the cgroup of this moment (cgroup_namespaces(7)), so not before we are in.
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    return True


def _open_binds(given: tuple[Mount, ...], doing: Doing) -> dict[int, int]:
    """Detached copies of every bind source, by the position of the mount."""
    opened = {}
    for number, mount in enumerate(given):
        if mount.is_bind:
            doing("open bind source", mount.source)
            opened[number] = mounts.detached(mount)
    return opened


def _own_mount(path: str) -> int:
    """A mount of the root that belongs to this namespace alone; pivot_root(2) wants a mount point."""
    root = syscalls.open_tree(syscalls.AT_FDCWD, path, syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
    here = inroot.open_root(path)
    syscalls.move_mount(root, here)
    os.close(here)
    return root


def _mount(mount: Mount, root: int) -> None:
    if mount.type in ("proc", "sysfs") or mount.target == "/dev":
        covers.refuse_link(root, mount.target)
    mounts.make(mount, root)


def _populate_dev(plan: Plan, root: int, doing: Doing) -> None:
    doing("open", "/dev")
    covers.refuse_link(root, "/dev")
    os.umask(0)
    for node in plan.nodes:
        doing("make device", node.path)
        if plan.has_user_namespace:
            _bind_device(root, node)
        else:
            nodes.make(root, node)
    doing("make links in", "/dev")
    nodes.link(root)
    os.umask(0o022)


def _bind_device(root: int, node: Node) -> None:
    """In a user namespace mknod(2) is not allowed: the host's node of the same path and number is bound."""
    fd = os.open(node.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(fd)
    os.close(fd)
    if not node.is_at(found):
        raise OSError(errno.ENODEV, "the host has another device there", node.path)
    mounts.make(Mount("bind", node.path, node.path, ("bind",)), root)


def _null(root: int) -> int:
    """The container's own /dev/null, checked: the one in its /dev may have been swapped (CVE-2025-31133)."""
    null = inroot.open_in(root, "/dev/null", os.O_PATH | os.O_NOFOLLOW)
    found = os.fstat(null)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
        raise OSError(errno.ENODEV, "/dev/null is not the null device", "/dev/null")
    cover = syscalls.open_tree(null, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE)
    os.close(null)
    return cover
