"""What `wait` does."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ..errors import NotFoundError
from ..model.container import Container

if TYPE_CHECKING:
    from .engine import Engine


def wait(engine: Engine, word: str) -> int:
    """See `Engine.wait`."""
    container = engine.inspect(word)
    directory = engine.paths.waiters(container.id)
    pipe = f"{directory}/{os.getpid()}.{time.monotonic_ns()}"
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.mkfifo(pipe, 0o600)
    # Opened for both, so that it never reads as ended before the supervisor has written.
    fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while True:
            try:
                container = engine.inspect(container.id)
            except NotFoundError:
                return _exit_code(fd, container)
            status = container.status
            if not status.active and status.exit_code is not None:
                return status.exit_code
            if status.supervisor:
                status.supervisor.wait_gone(10**6)
            else:
                time.sleep(0.1)  # created and never started: nothing to wait on but a start
    finally:
        os.close(fd)
        try:
            os.unlink(pipe)
            os.rmdir(directory)
        except OSError:
            pass  # the supervisor removed it, or another waits too


def _exit_code(fd: int, container: Container) -> int:
    """What the supervisor of a removed container wrote for those who wait."""
    try:
        return int(os.read(fd, 16))
    except (BlockingIOError, ValueError):
        raise NotFoundError(f"container {container.id[:12]} was removed before its exit code could be read") from None
