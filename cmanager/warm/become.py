"""What a worker takes over from its caller, so that what it does is what the caller would have done.

Limits, priority, processors and scheduling, umask, groups, ignored and blocked signals, the score of the OOM killer,
the login of the audit, directory, descriptors and environment. Cgroups are the server's part: a worker is born there.
"""

from __future__ import annotations

import fcntl
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable

from ..linux import files, syscalls
from .caller import Standing
from .request import Refused, Request

_LIMITS = tuple(number for name, number in vars(resource).items() if name.startswith("RLIMIT_"))
_NOT_OURS = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}


#: What is taken over, whether this server may have less of it than its caller had, so that another one could do better,
#: and how.
_Step = tuple[str, bool, Callable[[], None]]


def become(request: Request, caller: Standing) -> None:
    """Take everything over. Raises Refused; what can only be given up makes room for a server that still has it."""
    _take(
        ("working directory", False, lambda: os.chdir(f"/proc/{request.pid}/cwd")),
        ("descriptors", False, lambda: _descriptors(request)),
    )
    inherit(request.pid, caller.status["Groups"])
    os.umask(int(caller.status["Umask"], 8))
    _signals(caller)
    os.environb.clear()
    os.environb.update(request.environment)
    time.tzset()
    _streams(*request.encoding.split())


def inherit(pid: int, groups: str) -> None:
    """Take over what a child has of its parent: groups, scheduling, limits. Raises Refused as `become` does."""
    _take(
        ("groups", False, lambda: _groups(groups)),
        ("scheduling", True, lambda: _scheduling(pid)),
        ("score of the OOM killer", True, lambda: _file(pid, "oom_score_adj")),
        ("login of the audit", False, lambda: _file(pid, "loginuid")),
        ("limits", True, lambda: _limits(pid)),
    )


def _take(*steps: _Step) -> None:
    for what, lacking, take in steps:
        try:
            take()
        except OSError as error:
            leave = lacking and isinstance(error, PermissionError)
            raise Refused(f"its {what} cannot be taken over: {error}", leave) from None


def _groups(found: str) -> None:
    groups = list(map(int, found.split()))
    if sorted(groups) != sorted(os.getgroups()):
        os.setgroups(groups)


def _scheduling(pid: int) -> None:
    nice = os.getpriority(os.PRIO_PROCESS, pid)
    if nice != os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    policy = os.sched_getscheduler(pid)
    if policy != os.sched_getscheduler(0):
        os.sched_setscheduler(0, policy, os.sched_getparam(pid))
    processors = os.sched_getaffinity(pid)
    if processors != os.sched_getaffinity(0):
        os.sched_setaffinity(0, processors)
    io = syscalls.ioprio_get(pid)
    if io != syscalls.ioprio_get(0):
        syscalls.ioprio_set(0, io)


def _file(pid: int, name: str) -> None:
    """A number that /proc has for each process; not every kernel has each."""
    try:
        value, now = files.read_small(f"/proc/{pid}/{name}"), files.read_small(f"/proc/self/{name}")
    except FileNotFoundError:
        return
    if value != now:
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(value)


def _limits(pid: int) -> None:
    for number in _LIMITS:
        wanted = resource.prlimit(pid, number)
        if wanted != resource.getrlimit(number):
            try:
                resource.setrlimit(number, wanted)
            except ValueError as error:  # raising a hard limit, without CAP_SYS_RESOURCE
                raise PermissionError(str(error)) from None


def _descriptors(request: Request) -> None:
    """Give them the numbers they have there; lifeline and connection are out of the way."""
    free = max(request.numbers) + 1
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, free) for fd in request.fds]
    for fd in request.fds:
        os.close(fd)
    for fd, number in zip(high, request.numbers, strict=True):
        os.dup2(fd, number)
        os.close(fd)


def _signals(caller: Standing) -> None:
    """Those that are ignored and blocked there; Python's own are the same in both."""
    for number in _set(caller.status["SigIgn"]) - _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    if blocked := _set(caller.status["SigBlk"]):
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _set(mask: str) -> set[int]:
    """Those that a program may change: a child of posix_spawn(3) ignores two that are the C library's own, too."""
    bits = int(mask, 16)
    return {int(number) for number in signal.valid_signals() if bits >> (number - 1) & 1}


def _streams(encoding: str, errors: str) -> None:
    """Python's, as it makes them: those that there are belong to other files."""
    now = bool(os.environ.get("PYTHONUNBUFFERED"))
    out, err = (open(fd, "wb", closefd=False) for fd in (1, 2))  # noqa: SIM115
    sys.stdin = open(0, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    lines = os.isatty(1)
    sys.stdout = io.TextIOWrapper(out, encoding, errors, "\n", line_buffering=lines, write_through=now)
    sys.stderr = io.TextIOWrapper(err, encoding, "backslashreplace", "\n", line_buffering=True, write_through=now)
