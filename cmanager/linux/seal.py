"""An interpreter that nobody can write to (CVE-2019-5736).

The first process of a container is a fork of ours until it executes the program, and an entry point such as
`#!/proc/self/exe` makes the container execute our interpreter: its file must not be writable through /proc/PID/exe.
So whoever forks containers runs an interpreter executed from a detached read-only mount of its file: the host's mount
table does not change, pages stay shared, and opening the file for writing through it is EROFS.
"""

from __future__ import annotations

import os
import sys

from . import syscalls

TYPE_CHECKING = False  # the client of the command server does without `typing`
if TYPE_CHECKING:
    from typing import NoReturn


def sealed() -> bool:
    """Whether this process runs from a read-only mount."""
    return bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


def interpreter() -> int:
    """The descriptor of our interpreter on a detached read-only mount, to be executed; the caller closes it.

    Raises OSError where the kernel refuses (no CAP_SYS_ADMIN).
    """
    if sealed():
        # On such a mount already, of which open_tree(2) makes no second one.
        return os.open("/proc/self/exe", os.O_PATH | os.O_CLOEXEC)
    fd = syscalls.open_tree(syscalls.AT_FDCWD, "/proc/self/exe", syscalls.OPEN_TREE_CLONE)
    syscalls.mount_setattr(fd, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID)
    return fd


def command(function: str, arguments: list[str], **given: object) -> list[str]:
    """The argv of an interpreter that calls "module:function" with `sys.argv[1:]` set to these arguments.

    given: what the function gets, as literals of Python.
    It is isolated from the environment and finds modules where this one does, installed or not.
    """
    module, _, name = function.partition(":")
    path = [os.path.abspath(entry) for entry in sys.path]
    words = ", ".join(f"{key}={value!r}" for key, value in given.items())
    code = f"import sys; sys.path[:] = {path!r}; from {module} import {name}; {name}({words})"
    return [sys.executable, "-I", "-c", code, *arguments]


def execute(argv: list[str]) -> NoReturn:
    """Replace this process by a sealed interpreter; raises OSError. argv: its own, such as a `command`."""
    os.execve(interpreter(), argv, os.environ)
