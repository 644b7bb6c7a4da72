"""The process that supervisors are forked from where the caller cannot be forked: `Engine` in somebody's program.

A program with threads must not be forked, and one that is not sealed must not become a container. So it has a starter
beside it: a sealed, single-threaded interpreter that is executed for the first container, forks for each of them, and
ends with the program. Nothing of a container depends on it once that runs.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from typing import NoReturn

from ..linux import seal, syscalls
from ..linux.values import frozen
from ..model.codec import from_data, to_data
from ..plugins import Plugins, load_config
from .background import say
from .launch import ExecLaunch, Launch, fork

_KINDS: dict[str, type[Launch] | type[ExecLaunch]] = {"Launch": Launch, "ExecLaunch": ExecLaunch}
_ROLES = ("report", "client", "lock")


@frozen
class _Starter:
    """surroundings: what supervisors take over from where it was started; end: requests go there; process: it."""

    surroundings: tuple[object, ...]
    end: socket.socket
    process: subprocess.Popen[bytes]

    def close(self) -> None:
        """Let it end, and wait for that."""
        self.end.close()
        self.process.wait()


_starter: _Starter | None = None
_one_at_a_time = threading.Lock()


def _forget() -> None:
    """In a fork of the program: the starter is its parent's, and another thread may have held the lock."""
    global _starter, _one_at_a_time
    if _starter:
        _starter.end.close()
    _starter, _one_at_a_time = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def start(launch: Launch | ExecLaunch, report: socket.socket, client: socket.socket | None, lock: int) -> None:
    """Have a supervisor forked; the descriptors stay the caller's. Raises OSError."""
    given = dict(zip(_ROLES, (report.fileno(), client.fileno() if client else -1, lock), strict=True))
    there = {role: fd for role, fd in given.items() if fd >= 0}
    data = os.memfd_create("launch")
    try:
        os.write(data, json.dumps(to_data(launch)).encode())
        words = " ".join((type(launch).__name__, *there)).encode()
        with _one_at_a_time:
            _ask(launch, words, [data, *there.values()])
    finally:
        os.close(data)


def _ask(launch: Launch | ExecLaunch, words: bytes, fds: list[int]) -> None:
    global _starter
    surroundings = _surroundings(launch)
    for _ in range(2):
        if _starter and _starter.surroundings != surroundings:
            _starter.close()
            _starter = None
        if _starter is None:
            _starter = _begin(launch, surroundings)
        try:
            socket.send_fds(_starter.end, [words], fds)
            return
        except (BrokenPipeError, ConnectionResetError):  # somebody ended it
            _starter.close()
            _starter = None
    raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))


def _begin(launch: Launch | ExecLaunch, surroundings: tuple[object, ...]) -> _Starter:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    executable = seal.interpreter()
    try:
        arguments = [str(theirs.fileno()), launch.config, launch.paths.root, launch.paths.run_root]
        process = subprocess.Popen(
            seal.command("cmanager.supervisor.starter:serve", arguments),
            executable=f"/proc/self/fd/{executable}",
            pass_fds=[theirs.fileno(), executable],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(executable)
        theirs.close()
    return _Starter(surroundings, ours, process)


def _surroundings(launch: Launch | ExecLaunch) -> tuple[object, ...]:
    """All that a process hands to its children and that matters to a container; another starter where it changes."""
    top, mine = os.stat("/"), "/proc/thread-self"
    with open(f"{mine}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        cgroup = file.read()
    return (
        (launch.config, launch.paths.root, launch.paths.run_root),
        (top.st_dev, top.st_ino, cgroup, os.getpriority(os.PRIO_PROCESS, 0), frozenset(os.sched_getaffinity(0))),
        tuple(os.readlink(f"{mine}/ns/{name}") for name in sorted(os.listdir(f"{mine}/ns"))),
        tuple(resource.getrlimit(number) for name, number in vars(resource).items() if name.startswith("RLIMIT_")),
        tuple(sorted(os.environ.items())),
    )


def serve() -> NoReturn:
    """What the starter does until its program has ended. It holds no descriptor but the one for requests."""
    number, config, root, run_root = sys.argv[1:]
    syscalls.close_all_but(int(number), first=3)
    os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), 2)
    requests = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, int(number))
    requests.set_inheritable(False)
    # Nobody waits for its children; `detach` of the supervisors takes that back.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    plugins = Plugins(load_config(config or None), root, run_root)
    gc.freeze()
    while True:
        words, fds, _, _ = socket.recv_fds(requests, 4096, 1 + len(_ROLES), socket.MSG_CMSG_CLOEXEC)
        if not words:
            os._exit(0)
        kind, *roles = words.decode().split()
        _start(_KINDS[kind], plugins, fds[0], dict(zip(roles, fds[1:], strict=True)))


def _start(kind: type[Launch] | type[ExecLaunch], plugins: Plugins, data: int, fds: dict[str, int]) -> None:
    """Fork one supervisor; whatever is in the way is told to who asked for it, and to nobody else."""
    family = (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)
    report = socket.socket(*family, fds["report"])
    client = socket.socket(*family, fds["client"]) if "client" in fds else None
    lock = fds.get("lock", -1)
    try:
        with os.fdopen(data) as file:
            file.seek(0)
            launch: Launch | ExecLaunch = from_data(kind, json.load(file))
        for seam, name in launch.container.providers.named().items():
            plugins.prepare(seam, name)
        fork(launch, plugins, report, client, lock)
    except Exception as error:
        say(report, error)
    finally:
        report.close()
        if client:
            client.close()
        if lock >= 0:
            os.close(lock)
