"""Mounts as data, made through descriptors.

A `Mount` says what, where and how; nothing is mounted by describing it. `detached` turns one into a mount that hangs
nowhere, `place` attaches it under a root, `make` does both. All paths on the target side go through `inroot`, so a
link in the rootfs cannot move a mount elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat

from . import inroot, syscalls
from .process import Process
from .values import frozen

_DROP = {"rw", "suid", "dev", "exec", "defaults", "symfollow"}
_ATTRIBUTES = {
    "ro": syscalls.MOUNT_ATTR_RDONLY,
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "nodev": syscalls.MOUNT_ATTR_NODEV,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
    "noatime": syscalls.MOUNT_ATTR_NOATIME,
    "relatime": 0,
    "strictatime": syscalls.MOUNT_ATTR_STRICTATIME,
    "nodiratime": syscalls.MOUNT_ATTR_NODIRATIME,
    "nosymfollow": syscalls.MOUNT_ATTR_NOSYMFOLLOW,
}
_DROPPED = {
    "rw": syscalls.MOUNT_ATTR_RDONLY,
    "suid": syscalls.MOUNT_ATTR_NOSUID,
    "dev": syscalls.MOUNT_ATTR_NODEV,
    "exec": syscalls.MOUNT_ATTR_NOEXEC,
    "symfollow": syscalls.MOUNT_ATTR_NOSYMFOLLOW,
}
_ATIME = {"noatime", "relatime", "strictatime"}
PROPAGATION = {
    "private": syscalls.MS_PRIVATE,
    "rprivate": syscalls.MS_PRIVATE | syscalls.MS_REC,
    "slave": syscalls.MS_SLAVE,
    "rslave": syscalls.MS_SLAVE | syscalls.MS_REC,
    "shared": syscalls.MS_SHARED,
    "rshared": syscalls.MS_SHARED | syscalls.MS_REC,
    "unbindable": syscalls.MS_UNBINDABLE,
    "runbindable": syscalls.MS_UNBINDABLE | syscalls.MS_REC,
}
_OVERLAY_MOST = 500  # OVL_MAX_STACK
_OVERLAY_MOST_IN_A_PAGE = 200  # 18 bytes each: "/proc/self/fd/123:"
_MOUNT_FLAGS = {
    syscalls.MOUNT_ATTR_RDONLY: syscalls.MS_RDONLY,
    syscalls.MOUNT_ATTR_NOSUID: syscalls.MS_NOSUID,
    syscalls.MOUNT_ATTR_NODEV: syscalls.MS_NODEV,
    syscalls.MOUNT_ATTR_NOEXEC: syscalls.MS_NOEXEC,
}


@frozen
class Mount:
    """One mount, in the words of fstab(5) and of the OCI runtime specification.

    type: str, a file system type, or "bind"; source: str, a path or a word such as "tmpfs"; target: str, an absolute
    path inside the root it will be placed in, "/" for the root itself; options: tuple of mount(8) options. `bind` and
    `rbind` make a bind mount whatever the type. A key may repeat (overlay's `lowerdir+=`).
    """

    type: str
    source: str
    target: str
    options: tuple[str, ...] = ()

    @property
    def is_bind(self) -> bool:
        return self.type == "bind" or "bind" in self.options or "rbind" in self.options


@frozen
class Options:
    """Mount options sorted by who interprets them.

    add, drop: MOUNT_ATTR_ masks; propagation: MS_ mask, 0 for unchanged; recursive: bool; data: (key, value) pairs
    for the file system, value None for a plain flag.
    """

    add: int = 0
    drop: int = 0
    propagation: int = 0
    recursive: bool = False
    data: tuple[tuple[str, str | None], ...] = ()


def parse_options(options: tuple[str, ...]) -> Options:
    """Sort options; later ones win over earlier ones, as in mount(8)."""
    add = drop = propagation = 0
    recursive = False
    data: list[tuple[str, str | None]] = []
    for option in options:
        if option in _ATIME:
            add = add & ~syscalls.MOUNT_ATTR__ATIME | _ATTRIBUTES[option]
            drop |= syscalls.MOUNT_ATTR__ATIME
        elif option in _ATTRIBUTES:
            add |= _ATTRIBUTES[option]
            drop &= ~_ATTRIBUTES[option]
        elif option in _DROP:
            add &= ~_DROPPED.get(option, 0)
            drop |= _DROPPED.get(option, 0)
        elif option in PROPAGATION:
            propagation = PROPAGATION[option]
        elif option in ("bind", "rbind"):
            recursive |= option == "rbind"
        elif option == "rro":  # runtime-spec config.md, "Linux mount options"
            add |= syscalls.MOUNT_ATTR_RDONLY
            recursive = True
        else:
            key, found, value = option.partition("=")
            data.append((key, value if found else None))
    return Options(add, drop, propagation, recursive, tuple(data))


def detached(mount: Mount) -> int:
    """Make the mount without attaching it; returns its descriptor, which the caller closes.

    A bind source is a path of the caller's mount namespace. Raises OSError.
    """
    options = parse_options(mount.options)
    if mount.is_bind:
        flags = syscalls.OPEN_TREE_CLONE | (syscalls.AT_RECURSIVE if options.recursive else 0)
        fd = syscalls.open_tree(syscalls.AT_FDCWD, mount.source, flags)
        try:
            _change(fd, options)
        except BaseException:
            os.close(fd)
            raise
        return fd
    context = syscalls.fsopen(mount.type)
    try:
        if mount.source and mount.type != mount.source:
            syscalls.fsconfig_string(context, "source", mount.source)
        for key, value in options.data:
            if value is None:
                syscalls.fsconfig_flag(context, key)
            else:
                syscalls.fsconfig_string(context, key, value)
        syscalls.fsconfig_create(context)
        fd = syscalls.fsmount(context, options.add)
    except OSError as error:
        raise OSError(error.errno, _explain(context, error), mount.type) from None
    finally:
        os.close(context)
    if options.propagation:
        _change(fd, Options(propagation=options.propagation))
    return fd


def _change(fd: int, options: Options) -> None:
    if options.add or options.drop:
        at = syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if options.recursive else 0)
        syscalls.mount_setattr(fd, "", at, add=options.add, drop=options.drop & ~options.add | _atime(options))
    if options.propagation:
        recursive = options.propagation & syscalls.MS_REC
        at = syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if recursive else 0)
        syscalls.mount_setattr(fd, "", at, propagation=options.propagation & ~syscalls.MS_REC)


def _atime(options: Options) -> int:
    # mount_setattr(2): an atime setting must be given together with the whole atime mask to clear.
    return options.drop & syscalls.MOUNT_ATTR__ATIME


def _explain(context: int, error: OSError) -> str:
    """The kernel's own words from the fs context's log ("e overlay: …"), or the errno's."""
    try:
        said = os.read(context, 4096).decode(errors="replace").strip()
    except OSError:
        said = ""
    return said or os.strerror(error.errno or 0)


def of_process(process: Process, path: str) -> int:
    """A detached copy of the mount that a process sees at `path`; the caller closes it.

    Single-threaded callers only: the caller is in that mount namespace for a moment (setns(2)), with its working
    directory at the root afterwards. Raises OSError, ESRCH when the process is gone.
    """
    here = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    there = os.pidfd_open(process.pid)
    try:
        if not process.alive():
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), path)
        syscalls.setns(there, syscalls.CLONE_NEWNS)
        try:
            root = inroot.open_root("/")
            point = inroot.open_in(root, path, os.O_PATH)
            os.close(root)
            fd = syscalls.open_tree(point, "", syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE)
            os.close(point)
            return fd
        finally:
            syscalls.setns(here, syscalls.CLONE_NEWNS)
    finally:
        os.close(here)
        os.close(there)


def place(fd: int, root: int, target: str) -> None:
    """Attach a detached mount at `target` under `root` (an O_PATH directory), making the mount point if missing.

    A directory is mounted on a directory, anything else on a file. Raises OSError; `fd` stays open.
    """
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        point = inroot.make_directory(root, target)
    else:
        point = inroot.make_file(root, target)
    try:
        syscalls.move_mount(fd, point)
    finally:
        os.close(point)


def make(mount: Mount, root: int) -> None:
    """`detached` and `place` in one."""
    fd = detached(mount)
    try:
        place(fd, root, mount.target)
    finally:
        os.close(fd)


def make_private_namespace() -> None:
    """Give this process a mount namespace of its own that receives the host's changes and sends none.

    Single-threaded callers only (setns(2), unshare(2)).
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "none", syscalls.MS_SLAVE | syscalls.MS_REC)


def enter_namespace(pid: int) -> None:
    """Go into the mount namespace of a process, and to its root directory: setns(2) alone would leave a chroot.

    Single-threaded callers only. Raises OSError.
    """
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        finally:
            os.close(namespace)
        os.fchdir(root)
        os.chroot(".")
        os.chdir("/")
    finally:
        os.close(root)


def make_rootfs(mounts: tuple[Mount, ...], directory: str) -> None:
    """Mount a root file system described by a storage provider on `directory`, the first of them as "/".

    Call it in a mount namespace that nobody else looks at. Raises OSError with the kernel's own words.
    """
    if not mounts:
        raise OSError(errno.EINVAL, "a root file system needs at least one mount", directory)
    _make_first(mounts[0], directory)
    root = inroot.open_root(directory)
    try:
        for mount in mounts[1:]:
            make(mount, root)
    finally:
        os.close(root)


def _make_first(mount: Mount, directory: str) -> None:
    if mount.type == "overlay" and overlay_layers() < _OVERLAY_MOST:
        _make_overlay(mount, directory)
        return
    fd = detached(mount)
    point = inroot.open_root(directory)
    try:
        syscalls.move_mount(fd, point)
    finally:
        os.close(point)
        os.close(fd)


def overlay_layers(release: str | None = None) -> int:
    """The most lower directories that an overlay mount can have; release: of a kernel, by default this one's.

    Since 6.8 overlayfs has `lowerdir+`. A kernel without is not asked for it: that would put an error into its log.
    """
    major, _, rest = (release or os.uname().release).partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return _OVERLAY_MOST if (int(major), int(minor or "0")) >= (6, 8) else _OVERLAY_MOST_IN_A_PAGE


def _make_overlay(mount: Mount, directory: str) -> None:
    """Overlay on kernels without `lowerdir+`: mount(2), whose options must fit into one page.

    Directories are named by descriptor, which is short and needs no escaping.
    """
    options = parse_options(mount.options)
    opened: list[int] = []

    def named(path: str) -> str:
        opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return f"/proc/self/fd/{opened[-1]}"

    try:
        lower = ":".join(named(value or "") for key, value in options.data if key == "lowerdir+")
        rest = [(key, value) for key, value in options.data if key != "lowerdir+"]
        pairs = [(key, named(value) if value and key in ("upperdir", "workdir") else value) for key, value in rest]
        words = [f"lowerdir={lower}", *(key if value is None else f"{key}={value}" for key, value in pairs)]
        flags = sum(flag for attribute, flag in _MOUNT_FLAGS.items() if options.add & attribute)
        syscalls.mount("overlay", directory, "overlay", flags, ",".join(words))
    finally:
        for fd in opened:
            os.close(fd)
