"""What a supervisor is before anything else: a process that nobody waits for, with nothing of its maker's."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import CmanagerError
from ..linux import files, syscalls

if TYPE_CHECKING:
    from .steps import Mark

_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGTSTP)


def detach(keep: set[int]) -> None:
    """Leave the caller's session, terminal, directory and descriptors but `keep`, and become a subreaper."""
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    syscalls.close_all_but(*keep, first=3)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # It waits for what it starts, whatever its maker did.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    # Pages of the parent stay shared as long as nobody writes to their reference counts.
    gc.freeze()
    gc.disable()


def wakeable() -> int:
    """A non-blocking descriptor that becomes readable when SIGUSR1 comes or a child has ended (SIGCHLD).

    It lives as long as the process.
    """
    read, write = os.pipe()
    for fd in (read, write):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, _noted)
    return read


def drain(fd: int) -> None:
    """Make such a descriptor unreadable until the next time."""
    with suppress(BlockingIOError):
        os.read(fd, 4096)


def _noted(number: int, frame: object) -> None:
    """The descriptor says so; nothing may happen between two byte codes."""


def keep_fault(path: str, error: BaseException) -> None:
    """Write down what a supervisor dies of. One that ends before its container is lost: reconcile tells of it."""
    text = f"{type(error).__name__}: {error}"
    with suppress(OSError):
        files.write_atomic(path, text.encode("utf-8", "replace")[:1000])


def say(report: socket.socket, error: BaseException | None, marks: Sequence[Mark] = ()) -> None:
    """The one answer to whoever waits for the start; nobody may be there any more. marks: of its steps, if wanted."""
    message: dict[str, Any] = {}
    if error is not None:
        text = str(error) if isinstance(error, CmanagerError) else f"{type(error).__name__}: {error}"
        message = {"error": text[:4000], "code": getattr(error, "exit_code", 125)}
    if marks:
        message["marks"] = marks
    with suppress(OSError):
        report.send(json.dumps(message).encode())
    report.close()
