"""Network namespaces: pinned as files, and entered for a moment (network_namespaces(7), setns(2))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from . import pins, syscalls
from .pins import unpin

__all__ = ["entered", "pin", "unpin"]


def pin(path: str, userns: str | None = None) -> None:
    """Make a network namespace and bind it to the file `path`.

    userns: path of the user namespace that is to own it, None for the caller's. Raises OSError; then nothing is left.
    `unpin` removes it.
    """

    if userns is None:
        pins.pin_here(path, "net")
        return

    def make() -> None:
        syscalls.setns(os.open(userns, os.O_RDONLY | os.O_CLOEXEC), syscalls.CLONE_NEWUSER)
        syscalls.unshare(syscalls.CLONE_NEWNET)

    pins.pin(path, "net", make)


@contextmanager
def entered(path: str) -> Iterator[None]:
    """The calling thread in the network namespace at `path`, and back again (setns(2)).

    Sockets made inside stay there. Raises OSError.
    """
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                syscalls.setns(there, syscalls.CLONE_NEWNET)
            finally:
                os.close(there)
            yield
        finally:
            syscalls.setns(here, syscalls.CLONE_NEWNET)
    finally:
        os.close(here)
