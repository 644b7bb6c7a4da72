"""What `wait` does."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ..errors import HostError, NotFoundError
from ..model.container import Container

if TYPE_CHECKING:
    from .engine import Engine


def wait(engine: Engine, word: str) -> int:
    """See `Engine.wait`."""
    container = engine.inspect(word)
    fd, pipe = _pipe(engine.paths.waiters(container.id))
    try:
        while True:
            try:
                container = engine.inspect(container.id)
            except NotFoundError:
                if container.status.supervisor:
                    container.status.supervisor.wait_gone(5, fd)  # it is about to tell
                return _exit_code(fd, container)
            status = container.status
            if not status.active and status.exit_code is not None:
                return status.exit_code
            if status.supervisor and status.supervisor.alive():
                if not status.supervisor.wait_gone(10**6, fd):
                    return _exit_code(fd, container)
            else:
                time.sleep(0.1)  # not started yet, or being settled by another command: nothing to wait on
    finally:
        os.close(fd)
        try:
            os.unlink(pipe)
            os.rmdir(os.path.dirname(pipe))
        except OSError:
            pass  # the supervisor removed it, or another waits too


def _pipe(directory: str) -> tuple[int, str]:
    """A pipe into which the supervisor will write the exit code, and its path."""
    while True:
        pipe = f"{directory}/{os.getpid()}.{time.monotonic_ns()}"
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            os.mkfifo(pipe, 0o600)
            # Opened for both, so that it never reads as ended before the supervisor has written.
            return os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), pipe
        except FileNotFoundError:
            continue  # the last of those who waited before has just removed the directory
        except OSError as error:
            raise HostError.of("make a pipe in", directory, error) from None


def _exit_code(fd: int, container: Container) -> int:
    """What the supervisor of a removed container wrote for those who wait."""
    try:
        return int(os.read(fd, 16))
    except (BlockingIOError, ValueError):
        raise NotFoundError(f"container {container.id[:12]} was removed before its exit code could be read") from None
