"""The server: one process, one thread, that forks a worker for each command and holds nothing of anybody's.

Kill it at any moment: workers go on, and the next command does without it and starts another one. It has the
descriptors of no caller, only the connection by which a client is told that a signal has killed its worker.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..errors import HostError
from ..linux import cgroups, files
from ..linux.values import frozen
from ..supervisor import passing
from ..supervisor.keeper import StandIn
from ..supervisor.pool import Pool
from .request import Refused, peer

#: Exit code of a worker before it was told to go: whatever it found, the server should make room for another one.
LEAVE = 96
_TICK = 10.0  # seconds after which a look is taken whether it is still wanted
_BACKLOG = 1024
_PAUSE = 20  # milliseconds for a command to get on with its work before the next worker is forked


@frozen
class Place:
    """Where a server listens. directory: 0700; name: of its socket there; lock: held for as long as it listens."""

    directory: str
    name: str
    lock: int

    @property
    def path(self) -> str:
        """Of its socket."""
        return f"{self.directory}/{self.name}"

    def listen(self) -> socket.socket:
        """Begin to listen, in place of a server that was killed. Raises OSError."""
        os.chmod(self.directory, 0o700)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        fd = os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listener.bind(f"/proc/self/fd/{fd}/{self.name}")
        finally:
            os.close(fd)
        os.chmod(self.path, 0o600)
        listener.listen(_BACKLOG)
        return listener


#: Called in a fork of the server with an end of a socketpair, and whether there is time until it gets a connection.
Work = Callable[[socket.socket, bool], NoReturn]


class _Worker:
    """A fork of the server. waiting: the way to it until it gets a connection; handle: its pidfd.

    ahead: it is not needed yet.
    """

    def __init__(self, work: Work, *, ahead: bool) -> None:
        self.waiting, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.pid = os.fork()
            if not self.pid:
                work(theirs, ahead)
        self.handle = os.pidfd_open(self.pid)
        self.connection: socket.socket | None = None

    def take(self, connection: socket.socket, wants: socket.socket, offers: dict[bytes, socket.socket]) -> None:
        """Do the work of this client. wants, offers: ways to the pool. Raises OSError when it has been killed."""
        self.connection = connection.dup()
        with self.waiting:
            passing.send_offers(self.waiting, offers, connection, wants)


class Server:
    """Serves until it is idle, its socket is gone, it is not wanted any more or a worker finds that it should leave.

    work: called in each worker, stand_in: in each keeper; wanted: asked now and then; vouch: raises Refused for the pid
    of one whom no worker will serve; idle: seconds without a command. One worker waits for the next command, which so
    does without a fork, and slots for the next containers.
    """

    def __init__(
        self,
        place: Place,
        work: Work,
        stand_in: StandIn,
        wanted: Callable[[], bool],
        vouch: Callable[[int], None],
        idle: float,
    ) -> None:
        self._place, self._work, self._wanted, self._vouch, self._idle = place, work, wanted, vouch, idle
        self._workers: dict[int, _Worker] = {}
        self._spare: _Worker | None = None
        self._ahead = True  # until one dies without having been asked for anything
        self._poller = select.poll()
        kinds, self._wants = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pool = Pool(self._poller, stand_in, kinds)
        self._last = self._looked = time.monotonic()

    def run(self) -> None:
        """Serve; returns when it has left and the last worker has ended."""
        self._listener: socket.socket | None = self._place.listen()
        self._inode = os.stat(self._place.path).st_ino
        self._poller.register(self._listener, select.POLLIN)
        gc.collect()
        # Pages stay shared as long as nobody writes to their reference counts.
        gc.freeze()
        while self._listener or self._workers:
            missing = self._listener and self._ahead and not self._spare
            ready = [fd for fd, _ in self._poller.poll(_PAUSE if missing else min(_TICK, self._idle) * 1000)]
            for fd in ready:
                if fd in self._workers:
                    self._ended(self._workers.pop(fd))
                elif not self._listener or fd != self._listener.fileno():
                    self._pool.hear(fd)
            # Last: it makes descriptors, which may have numbers of those that are closed above.
            if self._listener and self._listener.fileno() in ready:
                self._accept(self._listener)
            now = time.monotonic()
            if ready:
                self._last = now
            elif missing:
                self._keep_one_ready()
            if now - self._looked >= min(_TICK, self._idle):
                self._looked = now
                if not self._needed():
                    self._leave()

    def _new(self, *, ahead: bool) -> _Worker:
        worker = _Worker(self._work, ahead=ahead)
        self._workers[worker.handle] = worker
        self._poller.register(worker.handle, select.POLLIN)
        return worker

    def _keep_one_ready(self) -> None:
        try:
            self._spare = self._new(ahead=True)
        except OSError:  # too many processes or descriptors: those to come will be told
            self._ahead = False

    def _busy(self) -> bool:
        return any(worker is not self._spare for worker in self._workers.values())

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            time.sleep(_PAUSE / 1000)  # it has left already, or we have too many descriptors for the moment
            return
        with connection:
            pid, user = peer(connection)
            if user != os.geteuid():
                return
            _answer(connection, b"h")
            try:
                if follow(pid, self._vouch):
                    self._part_with_spare()
                    self._pool.close()
                worker, self._spare, self._ahead = self._spare or self._new(ahead=False), None, True
                worker.take(connection, self._wants, self._pool.offers())
            except (OSError, HostError, Refused) as error:
                _answer(connection, b"c" + str(error).encode())

    def _part_with_spare(self) -> None:
        """It ends when nobody can talk to it any more."""
        if self._spare:
            self._spare.waiting.close()
            self._spare = None

    def _ended(self, worker: _Worker) -> None:
        self._poller.unregister(worker.handle)
        os.close(worker.handle)
        _, status = os.waitpid(worker.pid, 0)
        if worker is self._spare:
            self._part_with_spare()
            self._ahead = False
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == LEAVE:
            self._leave()
        if worker.connection:
            with worker.connection:
                if os.WIFSIGNALED(status):
                    _answer(worker.connection, b"k%d" % os.WTERMSIG(status))
                elif os.WEXITSTATUS(status) == LEAVE:
                    _answer(worker.connection, b"smakes room for a new one")

    def _needed(self) -> bool:
        if not self._busy() and time.monotonic() - self._last >= self._idle:
            return False
        try:
            there = os.stat(self._place.path).st_ino == self._inode
            # Whoever it has followed into a cgroup may be gone, and want the cgroup to be gone as well.
            ours = {os.getpid(), *(worker.pid for worker in self._workers.values()), *self._pool.pids()}
            return there and not alone(ours) and self._wanted()
        except OSError:
            return False

    def _leave(self) -> None:
        """Let another server take the place; whoever waits to be accepted goes on without."""
        if self._listener is None:
            return
        self._poller.unregister(self._listener)
        with suppress(OSError):
            if os.stat(self._place.path).st_ino == self._inode:
                os.unlink(self._place.path)
        self._listener.close()
        self._listener = None
        os.close(self._place.lock)
        self._part_with_spare()
        self._pool.end()


def follow(pid: int, vouch: Callable[[int], None]) -> bool:
    """Move this process into the cgroups of another, so that what it forks is born there (cgroups(7)).

    vouch: raises for one who must not lead it anywhere. Returns whether it had to: two reads where it is there already.
    Raises OSError, HostError, and what `vouch` does.
    """
    theirs, own = cgroups.memberships(pid), cgroups.memberships("self")
    if theirs == own:
        return False
    vouch(pid)
    places = _places(theirs)
    for kind, path in theirs.items():
        if own.get(kind) != path:
            if kind not in places:
                raise HostError("follow into the cgroup", path, 2)
            cgroups.join(places[kind])
    return True


def alone(ours: set[int]) -> bool:
    """Whether nobody but these is in one of the cgroups, other than a root, that this process is in. Raises OSError."""
    places = _places({kind: path for kind, path in cgroups.memberships("self").items() if path != "/"})
    found = (files.read_small(f"{place}/cgroup.procs") for place in places.values())
    return any(set(map(int, pids.split())) <= ours for pids in found)


def _places(found: dict[frozenset[str], str]) -> dict[frozenset[str], str]:
    """The directories of such cgroups, as far as their hierarchies are mounted."""
    mounted = {hierarchy.kind: hierarchy for hierarchy in (cgroups.hierarchies() if found else ())}
    return {kind: mounted[kind].path(path) for kind, path in found.items() if kind in mounted}


def _answer(connection: socket.socket, packet: bytes) -> None:
    with suppress(OSError):  # it has gone
        connection.send(packet, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
