"""Who has the machine: tests of several workers (pytest-xdist) share it, one that looks at all of it has it alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

#: Directory that the workers of a session share.
VARIABLE = "CMANAGER_TEST_TURNS"


@contextmanager
def shared() -> Iterator[None]:
    """During a test beside others."""
    # Whoever waits for the machine alone has the gate, so that others do not overtake for ever.
    with held("gate"):
        _lock("machine", fcntl.LOCK_SH)
    try:
        yield
    finally:
        _lock("machine", fcntl.LOCK_UN)


@contextmanager
def alone() -> Iterator[None]:
    """Within `shared`, for as long as nothing else may happen. What others have running stands still, as it is."""
    # Given up first: two who want the same would wait for each other.
    _lock("machine", fcntl.LOCK_UN)
    with held("gate"):
        _lock("machine", fcntl.LOCK_EX)
    try:
        yield
    finally:
        _lock("machine", fcntl.LOCK_SH)


@contextmanager
def held(name: str, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """While no other worker has the lock of this name. kind: of flock(2)."""
    _lock(name, kind)
    try:
        yield
    finally:
        _lock(name, fcntl.LOCK_UN)


def _lock(name: str, kind: int) -> None:
    fcntl.flock(_file(f"{os.environ[VARIABLE]}/{name}"), kind)


@cache
def _file(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
