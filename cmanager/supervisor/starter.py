"""The process that supervisors are forked from where the caller cannot be forked: `Engine` in somebody's program.

A program with threads must not be forked, and one that is not sealed must not become a container. So it has a starter
beside it: a sealed, single-threaded interpreter that is executed for the first container, forks for each of them, and
ends with the program. Nothing of a container depends on it once that runs.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from ..linux import seal, syscalls
from ..linux.values import frozen
from ..model import codec
from ..plugins import Plugins, load_config
from ..state import Paths
from . import berths, passing
from .background import say
from .keeper import Claim
from .launch import ExecLaunch, Launch, fork
from .pool import Pool
from .slots import Berth, Kind, Manager, Slot


@frozen
class _Starter:
    """surroundings: what supervisors take over from where it was started; end: requests go there; wants: kinds of slots
    do; process: it."""

    surroundings: tuple[object, ...]
    end: socket.socket
    wants: socket.socket
    process: subprocess.Popen[bytes]

    def close(self) -> None:
        """Let it end, and wait for that."""
        self.end.close()
        self.wants.close()
        self.process.wait()


_starter: _Starter | None = None
_one_at_a_time = threading.Lock()


def _forget() -> None:
    """In a fork of the program: the starter is its parent's, and another thread may have held the lock."""
    global _starter, _one_at_a_time
    if _starter:
        _starter.end.close()
        _starter.wants.close()
    _starter, _one_at_a_time = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def start(launch: Launch | ExecLaunch, report: socket.socket, client: socket.socket | None, lock: int) -> None:
    """Have a supervisor forked; the descriptors stay the caller's. Raises OSError."""
    with passing.packed(launch, report, client, lock) as (words, fds), _one_at_a_time:
        _ask(launch, words, fds)


def _ask(launch: Launch | ExecLaunch, words: bytes, fds: list[int]) -> None:
    global _starter
    surroundings = _surroundings(launch.config, launch.paths)
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
    wants, wanted = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    executable = seal.interpreter()
    try:
        ends = (theirs.fileno(), wanted.fileno())
        arguments = [*map(str, ends), launch.config, launch.paths.root, launch.paths.run_root]
        process = subprocess.Popen(
            seal.command("cmanager.supervisor.starter:serve", arguments),
            executable=f"/proc/self/fd/{executable}",
            pass_fds=[*ends, executable],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(executable)
        theirs.close()
        wanted.close()
    return _Starter(surroundings, ours, wants, process)


class ProgramBerths:
    """Implements `cmanager.supervisor.slots.Berths` for a program, where it has a starter already. config: path of the
    configuration file, "" for the usual search."""

    def __init__(self, config: str) -> None:
        self._config = config

    def claim(self, manager: Manager, network: str) -> Berth | None:
        """See `Berths.claim`."""
        with _one_at_a_time:
            if not _starter or _starter.surroundings != _surroundings(self._config, manager.paths):
                return None
            offers = _offers(_starter)
        try:
            return berths.claim(offers, manager, network, os.getpid(), ())
        finally:
            for end in offers.values():
                end.close()

    def want(self, kind: Kind) -> None:
        """See `Berths.want`."""
        with _one_at_a_time:
            wants = _starter and _starter.wants
        if wants:
            berths.want(wants, kind)


def _offers(starter: _Starter) -> dict[bytes, socket.socket]:
    """Where its keepers can be asked; none when it is gone."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with ours:
            with theirs:
                socket.send_fds(starter.end, [b"offers"], [theirs.fileno()])
            return passing.receive_offers(ours)[1]
    except OSError:
        return {}


def _surroundings(config: str, paths: Paths) -> tuple[object, ...]:
    """All that a process hands to its children and that matters to a container; another starter where it changes."""
    top, mine = os.stat("/"), "/proc/thread-self"
    with open(f"{mine}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        cgroup = file.read()
    return (
        (config, paths.root, paths.run_root),
        (top.st_dev, top.st_ino, cgroup, os.getpriority(os.PRIO_PROCESS, 0), frozenset(os.sched_getaffinity(0))),
        tuple(os.readlink(f"{mine}/ns/{name}") for name in sorted(os.listdir(f"{mine}/ns"))),
        tuple(resource.getrlimit(number) for name, number in vars(resource).items() if name.startswith("RLIMIT_")),
        tuple(sorted(os.environ.items())),
    )


def serve() -> NoReturn:
    """What the starter does until its program has ended. It holds no descriptor but those for requests."""
    number, wanted, config, root, run_root = sys.argv[1:]
    syscalls.close_all_but(int(number), int(wanted), first=3)
    os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), 2)
    requests, wants = (socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, int(fd)) for fd in (number, wanted))
    requests.set_inheritable(False)
    # Nobody waits for its children; `detach` of the supervisors takes that back.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    plugins = Plugins(load_config(config or None), root, run_root)
    codec.prepare(Launch, ExecLaunch, Claim, Slot)
    gc.freeze()
    poller = select.poll()
    poller.register(requests, select.POLLIN)
    pool = Pool(poller, lambda claim: None, wants)
    while True:
        ready = [fd for fd, _ in poller.poll()]
        for fd in ready:
            if fd != requests.fileno():
                pool.hear(fd)
        if requests.fileno() in ready:
            _answer(requests, plugins, pool)


def _answer(requests: socket.socket, plugins: Plugins, pool: Pool) -> None:
    """Do what the program asks for next; end where it has ended."""
    words, fds, _, _ = socket.recv_fds(requests, passing.LONGEST_WORDS, passing.MOST_GIVEN, socket.MSG_CMSG_CLOEXEC)
    if not words:
        os._exit(0)
    if words == b"offers":
        with socket.socket(*passing.FAMILY, fds[0]) as answers, suppress(OSError):
            passing.send_offers(answers, pool.offers())
        return
    _start(passing.Arrived.of(words, fds), plugins)


def _start(arrived: passing.Arrived, plugins: Plugins) -> None:
    """Fork one supervisor; whatever is in the way is told to who asked for it, and to nobody else."""
    try:
        fork(arrived.launch(plugins), plugins, arrived.report, arrived.client, arrived.lock)
    except Exception as error:
        say(arrived.report, error)
    finally:
        arrived.close()
