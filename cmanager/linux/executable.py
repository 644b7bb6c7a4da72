"""Whether a program can be executed in a container, found out before a tool is asked that would not say why not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NoReturn

from ..errors import CmanagerError, CommandError
from . import inroot, mounts
from .mounts import Mount
from .values import frozen

_HEAD = 256  # bytes that the kernel looks at (BINPRM_BUF_SIZE)


@frozen
class Identity:
    """Who executes, and from where. groups: supplementary; cwd, path: the directory and PATH of the program."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    cwd: str = "/"
    path: str = ""

    def assume(self) -> None:
        """Let the calling process be it, groups first, while it still may set them (credentials(7)). Raises OSError."""
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


def check(root: str, given: Iterable[Mount], name: str, who: Identity) -> None:
    """Return when execve(2) of `name` would work in the root file system at `root`, by the rules of execvp(3).

    given: what is mounted in it; only bind mounts and tmpfs are looked at. It is tried in a forked process, in the
    mounts of the container and as its user. Raises CommandError: 127 when the program is not found, 126 when it is
    and cannot be executed; CmanagerError when a mount or the working directory fails. For a single-threaded caller.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _look(root, given, name, who, write)
    os.close(write)
    with os.fdopen(read, "rb") as report:
        code, _, text = report.read().decode("utf-8", "replace").partition(" ")
    os.waitpid(pid, 0)
    if code in ("126", "127"):
        raise CommandError(text, int(code))
    if code != "0":
        raise CmanagerError(text or f"the look-up of {name!r} was killed")


def _look(root: str, given: Iterable[Mount], name: str, who: Identity, report: int) -> NoReturn:
    doing = f"open the root file system {root}"
    try:
        # Files are read by descriptor, through a /proc that is the host's.
        descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts.make_private_namespace()
        top = inroot.open_root(root)
        left_out: list[str] = []
        for mount in given:
            if any(f"{mount.target}/".startswith(f"{above}/") for above in left_out):
                continue  # its mount point would be made in the root file system instead
            # A bind's mount point is made, as the runtime would; runc 1.1 takes a tmpfs's mode from one that is there.
            if mount.is_bind or (mount.type == "tmpfs" and inroot.exists(top, mount.target)):
                doing = f"mount {mount.type} at {mount.target}"
                mounts.make(mount, top)
            else:
                left_out.append(mount.target.rstrip("/"))
        os.fchdir(top)
        os.chroot(".")
        doing = f"change directory to {who.cwd}"
        who.assume()
        os.chdir(who.cwd)
        os.write(report, _verdict(name, who.path, descriptors).encode())
    except OSError as error:
        said = error.strerror or str(error)
        os.write(report, f"125 cannot {doing}: {said[:1].lower()}{said[1:]} (errno {error.errno})".encode())
    except BaseException as error:
        os.write(report, f"125 cannot {doing}: {type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def _verdict(name: str, path: str, descriptors: int) -> str:
    candidates = [name] if "/" in name else [f"{directory or '.'}/{name}" for directory in path.split(":")]
    found = 0
    for candidate in candidates:
        number = _errno_of(candidate, descriptors)
        if not number:
            return "0 "
        if number not in (errno.ENOENT, errno.ENOTDIR):
            found = found or number
    if not found:
        where = "no such file" if "/" in name else "not found in $PATH"
        return f"127 cannot execute {name!r}: {where} of the container"
    return f"126 cannot execute {name!r}: {os.strerror(found).lower()} (errno {found})"


def _errno_of(path: str, descriptors: int, depth: int = 5) -> int:
    """What execve(2) would say of the file at `path`, 0 when it would work.

    It is opened once and without effect (O_PATH): what the container puts in its place meanwhile, such as a FIFO or a
    device, is never opened. descriptors: /proc/self/fd.
    """
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        return error.errno or errno.EIO
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or not os.access(str(fd), os.X_OK, dir_fd=descriptors):
            return errno.EACCES
        if os.fstatvfs(fd).f_flag & os.ST_NOEXEC:
            return errno.EACCES
        with suppress(PermissionError):  # what may be executed need not be readable
            content = os.open(str(fd), os.O_RDONLY | os.O_CLOEXEC, dir_fd=descriptors)
            head = os.read(content, _HEAD)
            os.close(content)
            return _errno_of_content(head, descriptors, depth)
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        os.close(fd)
    return 0


def _errno_of_content(head: bytes, descriptors: int, depth: int) -> int:
    if head.startswith(b"\x7fELF"):
        return 0
    if not head.startswith(b"#!"):
        return errno.ENOEXEC
    words: Sequence[bytes] = head[2:].split(b"\n", 1)[0].split()
    if not words:
        return errno.ENOEXEC
    return errno.ELOOP if depth == 0 else _errno_of(os.fsdecode(words[0]), descriptors, depth - 1)
