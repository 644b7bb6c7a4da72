"""Directories that appear whole or not at all, and are made once however many ask at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .. import files, syscalls
from ..values import frozen
from .usage import disk_usage

_LOCK = ".lock"
_DOOMED = "doomed-"


@frozen
class Claim:
    """The right to make one thing.

    path: where, nothing exists there yet and what is left there afterwards is removed; lock: descriptor that holds the
    right, which a child program that writes below `path` must inherit, so that nobody takes over while it lives.
    """

    path: str
    lock: int


class Staging:
    """A directory where things are made before one rename publishes them.

    For each there is a lock file, which exists only while somebody works. The kernel frees the lock of a dead owner, so
    what he left is recognised without pids: `sweep` and the next claim of that name remove it.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    @contextmanager
    def claim(self, name: str) -> Iterator[Claim]:
        """Own `name` alone, waiting for whoever has it; look afterwards whether the thing exists by now.

        Raises OSError.
        """
        path = f"{self._directory}/{name}"
        while True:
            with files.locked(path + _LOCK) as lock:
                if not _current(lock, path + _LOCK):
                    continue
                try:
                    files.remove_tree(path)
                    yield Claim(path, lock)
                finally:
                    try:
                        files.remove_tree(path)
                    finally:
                        # Removed while it is held: who waits for it will see that it is gone and begin anew.
                        os.unlink(path + _LOCK)
                return

    def publish(self, path: str, final: str) -> None:
        """Move what was made at `path` to `final`, all of it durable before and the move after. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.syncfs(fd)
        finally:
            os.close(fd)
        os.rename(path, final)
        files.sync_directory(os.path.dirname(final))

    def discard(self, path: str) -> None:
        """Take a published directory away in one step; `sweep` frees its space. What is gone is success."""
        with suppress(FileNotFoundError):
            os.rename(path, f"{self._directory}/{_DOOMED}{os.urandom(16).hex()}")

    def names(self) -> frozenset[str]:
        """Everything that is here, of the living and of the dead."""
        with suppress(FileNotFoundError):
            return frozenset(name for name in os.listdir(self._directory) if not name.endswith(_LOCK))
        return frozenset()

    def alive(self, name: str) -> bool:
        """Whether somebody works on `name` now."""
        try:
            with files.locked(f"{self._directory}/{name}{_LOCK}", wait=False) as lock:
                if _current(lock, f"{self._directory}/{name}{_LOCK}"):
                    os.unlink(f"{self._directory}/{name}{_LOCK}")
                return False
        except BlockingIOError:
            return True

    def sweep(self) -> int:
        """Remove what nobody works on; bytes freed. Raises OSError."""
        freed = 0
        with suppress(FileNotFoundError):
            for name in {entry.removesuffix(_LOCK) for entry in os.listdir(self._directory)}:
                path = f"{self._directory}/{name}"
                if name.startswith(_DOOMED):
                    # Nobody works on it, and without a lock file this works on a disk that is full, too.
                    freed += disk_usage(path)
                    files.remove_tree(path)
                    continue
                with suppress(BlockingIOError), files.locked(path + _LOCK, wait=False) as lock:
                    if _current(lock, path + _LOCK):
                        freed += disk_usage(path)
                        files.remove_tree(path)
                        os.unlink(path + _LOCK)
        return freed


def _current(lock: int, path: str) -> bool:
    """Whether the locked file is still the one that has the name."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except FileNotFoundError:
        return False
