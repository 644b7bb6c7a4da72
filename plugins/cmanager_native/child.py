"""The container's first process, between clone and exec.

It makes the mounts and changes the root; `program` does the rest, under the same rules. Paths under the root go through
`inroot` on the descriptor `root`.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from typing import Final, NoReturn

from cmanager.linux import inroot, mounts, programs, syscalls, terminals
from cmanager.linux.cgroups import Hierarchy
from cmanager.linux.mounts import Mount
from cmanager.model import Stdio

from . import hooks, init, program, terminal
from .plan import Device, Plan
from .program import Doing

_DEV_LINKS: Final = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)


def run(plan: Plan, stdio: Stdio, parent: socket.socket, cgroups: tuple[Hierarchy, ...], state: bytes) -> NoReturn:
    """Become the container. Never returns: ends in the program, or in exit after telling the parent why not."""
    doing = Doing()
    try:
        programs.reset_signals()
        _prepare(plan, stdio, parent, cgroups, state, doing)
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


def _prepare(
    plan: Plan, stdio: Stdio, parent: socket.socket, cgroups: tuple[Hierarchy, ...], state: bytes, doing: Doing
) -> None:
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
        doing("wait for the id maps")
        waited = _wait_for_go(plan, parent)
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
            waited = waited or _wait_for_go(plan, parent)
            _mount_cgroups(plan, mount, root, cgroups)
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
        terminal.place_console(root, peer)
    doing("run createContainer hooks")
    hooks.run(plan.hooks.get("createContainer", ()), state)
    if not waited:
        doing("wait for the cgroup")
        _wait_for_go(plan, parent)
    for path, value in plan.sysctls:
        doing("set sysctl", path)
        _write_sysctl(sysctl_proc, path, value)
    for path in plan.readonly:
        doing("make read-only", path)
        _make_readonly(root, path)
    for path in plan.masked:
        doing("mask", path)
        _mask(root, path)
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
    for number, fd in enumerate((peer, peer, peer) if peer >= 0 else (stdio.stdin, stdio.stdout, stdio.stderr)):
        os.dup2(fd, number)
    program.become(plan.program.credentials, doing)


def _wait_for_go(plan: Plan, parent: socket.socket) -> bool:
    program.wait_for_go(parent)
    if plan.new_cgroup_namespace:
        # Its root is the cgroup of this moment (cgroup_namespaces(7)), so not before the parent has moved us.
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
        _refuse_link(root, mount.target)
    mounts.make(mount, root)


def _refuse_link(root: int, path: str) -> None:
    """/proc, /sys and /dev of the image must be ordinary directories (CVE-2023-27561, CVE-2026-41579)."""
    try:
        fd = inroot.open_in(root, path, os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    mode = os.fstat(fd).st_mode
    os.close(fd)
    if not stat.S_ISDIR(mode):
        raise OSError(errno.ENOTDIR, "the image has no ordinary directory there", path)


def _mount_cgroups(plan: Plan, mount: Mount, root: int, cgroups: tuple[Hierarchy, ...]) -> None:
    """Every hierarchy, seen from the container's own cgroup, at the place the host has it."""
    options = mount.options
    if len(cgroups) == 1 and cgroups[0].version == 2:
        _mount_unified(plan, cgroups[0], mount.target, options, root)
        return
    if not cgroups:
        return
    plain = tuple(option for option in options if option != "ro")
    _mount(Mount("tmpfs", "tmpfs", mount.target, (*plain, "mode=755", "size=65536")), root)
    for hierarchy in cgroups:
        target = f"{mount.target}/{hierarchy.mountpoint.rpartition('/')[2]}"
        if hierarchy.version == 2:
            _mount_unified(plan, hierarchy, target, options, root)
        else:
            _mount(Mount("cgroup", "cgroup", target, (*options, *hierarchy.controllers)), root)
            name = hierarchy.mountpoint.rpartition("/")[2]
            if "," in name:
                top = inroot.open_in(root, mount.target, os.O_PATH | os.O_DIRECTORY)
                for controller in hierarchy.controllers:
                    os.symlink(name, controller, dir_fd=top)
                os.close(top)
    if "ro" in options:
        top = inroot.open_in(root, mount.target, os.O_PATH | os.O_DIRECTORY)
        syscalls.mount_setattr(top, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
        os.close(top)


def _mount_unified(plan: Plan, hierarchy: Hierarchy, target: str, options: tuple[str, ...], root: int) -> None:
    if plan.has_cgroup_namespace:
        _mount(Mount("cgroup2", "cgroup", target, options), root)
    else:
        # A new mount made in the host's cgroup namespace resets nsdelegate and the like for the whole host.
        mounts.make(Mount("bind", hierarchy.mountpoint, target, ("bind", *options)), root)


def _populate_dev(plan: Plan, root: int, doing: Doing) -> None:
    doing("open", "/dev")
    _refuse_link(root, "/dev")
    os.umask(0)
    dev = inroot.make_directory(root, "/dev")
    for device in plan.devices:
        doing("make device", device.path)
        if plan.has_user_namespace:
            _bind_device(root, device)
        else:
            _make_device(root, device)
    for name, target in _DEV_LINKS:
        doing("make link", f"/dev/{name}")
        if name == "ptmx" and not inroot.exists(root, "/dev/pts/ptmx"):
            continue
        with suppress(FileExistsError):
            os.symlink(target, name, dir_fd=dev)
    os.close(dev)
    os.umask(0o022)


def _make_device(root: int, device: Device) -> None:
    directory, _, name = device.path.rpartition("/")
    parent = inroot.make_directory(root, directory)
    try:
        os.mknod(name, device.mode, device.device, dir_fd=parent)
        os.chown(name, device.uid, device.gid, dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if found.st_rdev != device.device or stat.S_IFMT(found.st_mode) != stat.S_IFMT(device.mode):
            raise
    finally:
        os.close(parent)


def _bind_device(root: int, device: Device) -> None:
    """In a user namespace mknod(2) is not allowed: the host's node of the same path and number is bound."""
    node = os.open(device.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(node)
    os.close(node)
    if found.st_rdev != device.device or stat.S_IFMT(found.st_mode) != stat.S_IFMT(device.mode):
        raise OSError(errno.ENODEV, "the host has another device there", device.path)
    mounts.make(Mount("bind", device.path, device.path, ("bind",)), root)


def _write_sysctl(proc: int, path: str, value: str) -> None:
    # A proc of our own, and no link or mount on the way: nothing of the container can redirect the write (S-08).
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV
    fd = syscalls.openat2(proc, f"sys/{path}", os.O_WRONLY, resolve=resolve | syscalls.RESOLVE_NO_MAGICLINKS)
    try:
        os.write(fd, value.encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)


def _make_readonly(root: int, path: str) -> None:
    try:
        here = inroot.open_in(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return
    copy = syscalls.open_tree(here, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
    syscalls.mount_setattr(copy, "", syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE, add=syscalls.MOUNT_ATTR_RDONLY)
    syscalls.move_mount(copy, here)
    os.close(copy)
    os.close(here)


def _mask(root: int, path: str) -> None:
    try:
        here = inroot.open_in(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(os.fstat(here).st_mode):
        cover = mounts.detached(Mount("tmpfs", "tmpfs", path, ("ro", "size=0", "nr_inodes=2", "mode=0755")))
    else:
        # The container's own node, checked: the one in its /dev may have been swapped (CVE-2025-31133).
        null = inroot.open_in(root, "/dev/null", os.O_PATH | os.O_NOFOLLOW)
        found = os.fstat(null)
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
            raise OSError(errno.ENODEV, "/dev/null is not the null device", path)
        cover = syscalls.open_tree(null, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE)
        os.close(null)
    syscalls.move_mount(cover, here)
    os.close(cover)
    os.close(here)
