"""System calls that Python 3.11 does not offer, one typed function each.

Every function raises OSError with the kernel's errno and the path it was given. File descriptors that come back are
close-on-exec and belong to the caller. Paths are str or bytes. Numbers and structures are those of the kernel's
include/uapi; the man page is named where one exists.
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False  # the client of the command server does without `typing`
if TYPE_CHECKING:
    from typing import Final

# PyDLL keeps the GIL: after a raw clone the child must not wait for a lock that no thread is left to release.
_libc: Final = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_OLD_NUMBERS: Final = {
    "x86_64": {"pivot_root": 155, "keyctl": 250, "ioprio_set": 251, "ioprio_get": 252, "seccomp": 317, "bpf": 321},
    "aarch64": {"pivot_root": 41, "keyctl": 219, "ioprio_set": 30, "ioprio_get": 31, "seccomp": 277, "bpf": 280},
}
_MACHINE: Final = os.uname().machine

# Since 5.1 a new call has one number on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_CLONE3, _CLOSE_RANGE, _OPENAT2, _MOUNT_SETATTR = 435, 436, 437, 442

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_RECURSIVE: Final = 0x8000

CLONE_NEWTIME: Final = 0x80
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
CLONE_PARENT: Final = 0x00008000
CLONE_INTO_CGROUP: Final = 0x200000000

#: The OCI name of each namespace kind, its clone flag, and its file under /proc/PID/ns.
NAMESPACES: Final[dict[str, tuple[int, str]]] = {
    "user": (CLONE_NEWUSER, "user"),
    "mount": (CLONE_NEWNS, "mnt"),
    "pid": (CLONE_NEWPID, "pid"),
    "network": (CLONE_NEWNET, "net"),
    "ipc": (CLONE_NEWIPC, "ipc"),
    "uts": (CLONE_NEWUTS, "uts"),
    "cgroup": (CLONE_NEWCGROUP, "cgroup"),
    "time": (CLONE_NEWTIME, "time"),
}

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_UNBINDABLE: Final = 0x20000
MS_PRIVATE: Final = 0x40000
MS_SLAVE: Final = 0x80000
MS_SHARED: Final = 0x100000
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_NOSUID: Final = 0x2
MOUNT_ATTR_NODEV: Final = 0x4
MOUNT_ATTR_NOEXEC: Final = 0x8
MOUNT_ATTR_NOATIME: Final = 0x10
MOUNT_ATTR_STRICTATIME: Final = 0x20
MOUNT_ATTR__ATIME: Final = 0x70
MOUNT_ATTR_NODIRATIME: Final = 0x80
MOUNT_ATTR_IDMAP: Final = 0x100000
MOUNT_ATTR_NOSYMFOLLOW: Final = 0x200000

OPEN_TREE_CLONE: Final = 1
_FLAG_CLOEXEC: Final = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC; OPEN_TREE_CLOEXEC is O_CLOEXEC
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_SET_FD, _FSCONFIG_CMD_CREATE = 0, 1, 5, 6
_MOVE_MOUNT_F_EMPTY_PATH, _MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_KEEPCAPS: Final = 8
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_SECUREBITS: Final = 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

SECBIT_NO_SETUID_FIXUP: Final = 0x4

_SECCOMP_SET_MODE_FILTER = 1
_KEYCTL_JOIN_SESSION_KEYRING = 1
_IOPRIO_WHO_PROCESS = 1
_CAPABILITY_VERSION_3 = 0x20080522


def _fail(path: str | bytes = "") -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), os.fsdecode(path))


def _call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None, path: str | bytes = "") -> int:
    """syscall(2); integers are passed as 64 bit, or a negative one would be cut to 32."""
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *plain)
    if result < 0:
        raise _fail(path)
    return result


def _old_number(name: str) -> int:
    try:
        return _OLD_NUMBERS[_MACHINE][name]
    except KeyError:
        raise OSError(38, f"{name} is not known on {_MACHINE}") from None


def _wrapped(name: str, *arguments: int | bytes | None, path: str | bytes = "") -> int:
    """A call that the C library wraps."""
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = getattr(_libc, name)(*plain)
    if result < 0:
        raise _fail(path)
    return result


def clone(flags: int, *, cgroup: int = -1, exit_signal: int = 17) -> int:
    """clone3(2) without a shared address space: like os.fork, into new namespaces.

    cgroup: an open cgroup v2 directory that the child is born in (CLONE_INTO_CGROUP), or -1.
    Returns 0 in the child and its pid in the parent. Call it from single-threaded processes only.
    """
    fields = [flags, 0, 0, 0, 0 if flags & CLONE_PARENT else exit_signal, 0, 0, 0, 0, 0, 0]
    if cgroup >= 0:
        fields[0] |= CLONE_INTO_CGROUP
        fields[10] = cgroup
    packed = struct.pack("11Q", *fields)
    ctypes.pythonapi.PyOS_BeforeFork()
    result: int = _libc.syscall(ctypes.c_long(_CLONE3), packed, ctypes.c_long(len(packed)))
    number = ctypes.get_errno()
    if result == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if result < 0:
        raise OSError(number, os.strerror(number), f"clone flags {flags:#x}")
    return result


def unshare(flags: int) -> None:
    """unshare(2)."""
    _wrapped("unshare", flags, path=f"unshare flags {flags:#x}")


def setns(fd: int, kind: int = 0) -> None:
    """setns(2): join the namespace behind `fd`; `kind` is its clone flag, or 0 for any."""
    _wrapped("setns", fd, kind)


def pivot_root(new: str | bytes, old: str | bytes) -> None:
    """pivot_root(2)."""
    _call(_old_number("pivot_root"), os.fsencode(new), os.fsencode(old), path=new)


def mount(source: str, target: str | bytes, kind: str, flags: int, data: str | None = None) -> None:
    """mount(2). `data` None is passed as NULL: an empty string would make the kernel copy a page."""
    packed = None if data is None else os.fsencode(data)
    _wrapped("mount", os.fsencode(source), os.fsencode(target), os.fsencode(kind), flags, packed, path=target)


def umount(target: str | bytes, flags: int = 0) -> None:
    """umount2(2)."""
    _wrapped("umount2", os.fsencode(target), flags, path=target)


def open_tree(dir_fd: int, path: str | bytes, flags: int) -> int:
    """open_tree(2): with OPEN_TREE_CLONE a detached copy of the mount at `path`."""
    return _call(_OPEN_TREE, dir_fd, os.fsencode(path), flags | os.O_CLOEXEC, path=path)


def move_mount(source_fd: int, target_fd: int, target: str | bytes = b"") -> None:
    """move_mount(2): attach the mount behind `source_fd` at `target` under `target_fd`, or at `target_fd` itself."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | (0 if target else _MOVE_MOUNT_T_EMPTY_PATH)
    _call(_MOVE_MOUNT, source_fd, b"", target_fd, os.fsencode(target), flags, path=target)


def fsopen(kind: str) -> int:
    """fsopen(2): a context in which a new file system instance is configured."""
    return _call(_FSOPEN, os.fsencode(kind), _FLAG_CLOEXEC, path=kind)


def fsconfig_string(context: int, key: str, value: str) -> None:
    """fsconfig(2), FSCONFIG_SET_STRING; the kernel takes at most 255 bytes of value."""
    _call(_FSCONFIG, context, _FSCONFIG_SET_STRING, os.fsencode(key), os.fsencode(value), 0, path=f"{key}={value}")


def fsconfig_flag(context: int, key: str) -> None:
    """fsconfig(2), FSCONFIG_SET_FLAG."""
    _call(_FSCONFIG, context, _FSCONFIG_SET_FLAG, os.fsencode(key), None, 0, path=key)


def fsconfig_create(context: int) -> None:
    """fsconfig(2), FSCONFIG_CMD_CREATE: make the superblock."""
    _call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(context: int, attributes: int) -> int:
    """fsmount(2): a detached mount of the configured file system with these MOUNT_ATTR_ flags."""
    return _call(_FSMOUNT, context, _FLAG_CLOEXEC, attributes)


def mount_setattr(
    fd: int, path: str | bytes, flags: int, *, add: int = 0, drop: int = 0, propagation: int = 0, userns: int = 0
) -> None:
    """mount_setattr(2): `add`, `drop` are MOUNT_ATTR_ masks, `propagation` an MS_ value, `userns` an fd for IDMAP."""
    packed = struct.pack("4Q", add, drop, propagation, userns)
    _call(_MOUNT_SETATTR, fd, os.fsencode(path), flags, packed, len(packed), path=path)


def openat2(dir_fd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2). EAGAIN (a rename raced with the walk) is tried again, as the man page advises."""
    packed = struct.pack("3Q", flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path)
    for _ in range(128):
        try:
            return _call(_OPENAT2, dir_fd, name, packed, len(packed), path=path)
        except BlockingIOError as error:
            last = error
    raise last


def close_range(first: int, last: int = 0xFFFFFFFF, *, cloexec: bool = False) -> None:
    """close_range(2): close, or mark close-on-exec, every descriptor from `first` to `last`."""
    _call(_CLOSE_RANGE, first, last, 4 if cloexec else 0)


def madvise(start: int, length: int, advice: int) -> None:
    """madvise(2) on pages of this process."""
    _libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if _libc.madvise(start, length, advice):
        raise _fail(f"memory at {start:#x}")


def close_all_but(*kept: int, first: int = 0) -> None:
    """Close every descriptor from `first` on but these; numbers that are not open are nothing."""
    for fd in sorted({fd for fd in kept if fd >= first}):
        if first < fd:
            close_range(first, fd - 1)
        first = fd + 1
    close_range(first)


def prctl(option: int, *arguments: int) -> int:
    """prctl(2)."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _wrapped("prctl", option, *padded, path=f"prctl {option}")


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for the calling process; masks of 64 bits."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    low, high = 0xFFFFFFFF, 32
    data = struct.pack(
        "6I",
        *(effective & low, permitted & low, inheritable & low),
        *(effective >> high, permitted >> high, inheritable >> high),
    )
    _wrapped("capset", header, data, path="capset")


def set_file_ids(uid: int, gid: int) -> None:
    """setfsuid(2) and setfsgid(2) for the calling thread; they report no error, so the result is read back."""
    no_id = ctypes.c_int(-1)
    for name, number in (("setfsgid", gid), ("setfsuid", uid)):
        function = getattr(_libc, name)
        function(ctypes.c_uint(number))
        if function(no_id) != number:
            raise OSError(1, os.strerror(1), f"{name} {number}")


def sethostname(name: str) -> None:
    """sethostname(2)."""
    packed = os.fsencode(name)
    _wrapped("sethostname", packed, len(packed), path=name)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    packed = os.fsencode(name)
    _wrapped("setdomainname", packed, len(packed), path=name)


def new_session_keyring() -> None:
    """keyctl(2) KEYCTL_JOIN_SESSION_KEYRING: leave the caller's keyring behind."""
    _call(_old_number("keyctl"), _KEYCTL_JOIN_SESSION_KEYRING, None, path="session keyring")


def ioprio_get(pid: int) -> int:
    """ioprio_get(2): class and level of a process (0: the caller)."""
    return _call(_old_number("ioprio_get"), _IOPRIO_WHO_PROCESS, pid, path="I/O priority")


def ioprio_set(pid: int, value: int) -> None:
    """ioprio_set(2): give a process (0: the caller) what `ioprio_get` returned."""
    _call(_old_number("ioprio_set"), _IOPRIO_WHO_PROCESS, pid, value, path="I/O priority")


def seccomp_filter(program: bytes) -> None:
    """seccomp(2) SECCOMP_SET_MODE_FILTER with a classic BPF program of 8 byte instructions."""
    buffer = ctypes.create_string_buffer(program, len(program))
    packed = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _call(_old_number("seccomp"), _SECCOMP_SET_MODE_FILTER, 0, packed, path="seccomp")


def bpf(command: int, attributes: bytes | ctypes.Array[ctypes.c_char]) -> int:
    """bpf(2): the attribute union as bytes; addresses inside it must outlive the call."""
    return _call(_old_number("bpf"), command, attributes, len(attributes), path="bpf")


IN_MODIFY: Final = 0x2
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100


def inotify_watch(path: str, mask: int) -> int:
    """inotify(7): a non-blocking descriptor, readable when `mask` happens to `path`; the caller closes it."""
    fd = _wrapped("inotify_init1", os.O_CLOEXEC | os.O_NONBLOCK, path=path)
    try:
        _wrapped("inotify_add_watch", fd, os.fsencode(path), mask, path=path)
    except OSError:
        os.close(fd)
        raise
    return fd


def syncfs(fd: int) -> None:
    """syncfs(2): write everything dirty on the file system of `fd`; reports what failed since `fd` was opened."""
    _wrapped("syncfs", fd, path="syncfs")
