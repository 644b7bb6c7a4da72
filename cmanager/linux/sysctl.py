"""Kernel parameters of the caller's namespaces (proc_sys(5))."""

from __future__ import annotations

import os

from . import syscalls


def write(proc: int, name: str, value: str) -> None:
    """Set the parameter `name`, such as net.core.somaxconn, through `proc`, a procfs mounted for this; OSError.

    No link or mount may lie on the way: nothing of a container can redirect the write (CVE-2025-52881).
    """
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV
    path = f"sys/{name.replace('.', '/')}"
    fd = syscalls.openat2(proc, path, os.O_WRONLY, resolve=resolve | syscalls.RESOLVE_NO_MAGICLINKS)
    try:
        os.write(fd, value.encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)
