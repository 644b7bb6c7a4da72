"""From a process inside the container to the program: the last steps of a start and of an exec alike.

Nothing here imports, looks up a codec or a user, or runs a hook of ours: after the root has changed, whatever Python
would load comes from the container. The parent is told of every failure as one line with the step, the path and the
errno.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from contextlib import suppress
from typing import Final, NoReturn

from cmanager.linux import syscalls

from .plan import Credentials, Program

#: Words of the parent: go on after the cgroup and the id maps are there; start the program.
GO: Final = b"G"
START: Final = b"S"
#: Words of the child: everything is ready; or a failure, as kind, exit code and text.
CREATED: Final = b"C"
FAILED: Final = b"E"


class Doing:
    """What is being done right now, for the one line that a failure becomes."""

    step = "start"
    path = ""

    def __call__(self, step: str, path: str = "") -> None:
        self.step, self.path = step, path

    def __str__(self) -> str:
        return f"cannot {self.step}{self.path and ' ' + self.path}"


def keep_only(parent: socket.socket) -> socket.socket:
    """Close everything but 0, 1, 2 and the socket to the parent, which becomes 3 and closes at exec."""
    os.dup2(parent.detach(), 3, inheritable=False)
    syscalls.close_range(4)
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, 3)


def wait_for_go(parent: socket.socket) -> bool:
    """Until the parent has done its part; a parent that is gone ends this process."""
    if parent.recv(1) != GO:
        os._exit(125)
    return True


def change_directory(path: str, doing: Doing) -> None:
    """With no descriptor of the host left open, so that none can be the way out (CVE-2024-21626)."""
    doing("change directory to", path)
    os.chdir(path)
    # A working directory outside the root shows as "(unreachable)…".
    if not os.getcwdb().startswith(b"/"):
        raise OSError(errno.ENOENT, "the directory lies outside the container", path)


def become(credentials: Credentials, doing: Doing) -> None:
    """Take the program's limits, capabilities and ids."""
    for number, soft, hard in credentials.rlimits:
        doing(f"set resource limit {number} to {soft}:{hard}")
        resource.setrlimit(number, (soft, hard))
    if credentials.seccomp and not credentials.no_new_privileges:
        # Without no_new_privs a filter needs CAP_SYS_ADMIN (seccomp(2)), which is about to go.
        doing("load the seccomp filter")
        syscalls.seccomp_filter(credentials.seccomp)
    doing("drop capabilities")
    _drop_bounding(credentials.bounding)
    doing(f"become user {credentials.uid}:{credentials.gid}")
    if credentials.uid != 0 and credentials.permitted:
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    os.setgroups(credentials.groups)
    os.setresgid(credentials.gid, credentials.gid, credentials.gid)
    os.setresuid(credentials.uid, credentials.uid, credentials.uid)
    # setresuid makes the process dumpable again.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    doing("set capabilities")
    syscalls.capset(credentials.effective, credentials.permitted, credentials.inheritable)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(64):
        if credentials.ambient >> number & 1:
            syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)
    os.umask(credentials.umask)
    if credentials.no_new_privileges:
        doing("set no_new_privs")
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def load_filter(credentials: Credentials, doing: Doing) -> None:
    """The seccomp filter, where `become` has not loaded it: as late as can be, for it bounds what follows."""
    if credentials.seccomp and credentials.no_new_privileges:
        doing("load the seccomp filter")
        syscalls.seccomp_filter(credentials.seccomp)


def execute(program: Program, parent: socket.socket) -> NoReturn:
    """execve(2) by the rules of execvp(3): 127 when nothing was found, 126 when something was and could not be run."""
    name = program.argv[0]
    if b"/" in name:
        candidates = [name]
    else:
        path = program.env.get(b"PATH", b"")
        candidates = [(directory or b".") + b"/" + name for directory in path.split(b":")]
    denied: OSError | None = None
    for candidate in candidates:
        try:
            os.execve(candidate, program.argv, program.env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            denied = denied or error
    shown = name.decode("utf-8", "replace")
    if denied is None:
        where = "not found in $PATH" if b"/" not in name else "no such file"
        tell(parent, 127, f"cannot execute {shown!r}: {where} of the container")
        os._exit(127)
    fail(parent, 126, f"cannot execute {shown!r}", denied)
    os._exit(126)


def fail(parent: socket.socket, code: int, text: str, error: OSError) -> None:
    """Tell the parent of an OSError."""
    said = error.strerror or os.strerror(error.errno or 0)
    tell(parent, code, f"{text}: {said[:1].lower()}{said[1:]} (errno {error.errno})")


def tell(parent: socket.socket, code: int, text: str) -> None:
    """Tell the parent why not, and the exit code it stands for."""
    with suppress(OSError):
        parent.send(FAILED + b"%d " % code + text.encode("utf-8", "replace")[:4000])


def _drop_bounding(kept: int) -> None:
    for number in range(64):
        if kept >> number & 1:
            continue
        try:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # past the kernel's last capability
                return
            raise
