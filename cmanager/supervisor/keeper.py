"""The keeper: a process that has a slot ready, waits for its container, and becomes the supervisor of that.

It makes the slot when nobody waits for it, and undoes it when the process that forked it has ended, when `gc --pools`
says so, after a while, and when whoever claimed it did not come to launch a container. A keeper that is killed leaves a
slot that nobody records, which `gc` finds.

To its pool it says `r`, its pid and its heir's, when it has a slot, and `g` when that has been claimed. A claim is two
descriptors, a channel and a `Claim`. On that channel the keeper answers with the slot and its lock, or closes it; then
comes the container's `Launch`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import NoReturn

from ..errors import CmanagerError
from ..linux import memory
from ..linux.process import Process
from ..linux.values import frozen
from ..model.codec import to_data
from ..model.names import new_id
from ..plugins import Plugins, load_config
from ..seams import SEAMS
from ..state import Store, records
from . import passing, process, slots
from .background import detach, say, wakeable
from .heir import Deceased, Heir, divide
from .launch import Launch
from .slots import Kind, Manager, Slot

_PATIENCE = 60.0  # seconds for a container to come


@frozen
class Claim:
    """Who claims a slot, and what it must be fit for. words: the command line; environment: pairs; groups: numbers."""

    manager: Manager
    network: str
    pid: int
    groups: str
    words: tuple[str, ...]
    environment: dict[str, str]

    def fits(self, kind: Kind) -> bool:
        """Whether a slot of that kind is one for it."""
        return (self.manager, self.network) == (kind.manager, kind.network)


#: Called in a keeper when it begins, with None, when its slot is claimed, and in its heir when the container is left to
#: that: to take over what a child of the claimer would have; raises OSError or CmanagerError when it cannot be.
StandIn = Callable[[Claim | Deceased | None], None]


def keep(kind: Kind, pool: socket.socket, claims: socket.socket, stand_in: StandIn) -> NoReturn:
    """Be a keeper of a slot of this kind, in a process that was just forked; never returns.

    pool: an end that its pool hears; claims: where claims come.
    """
    try:
        detach({pool.fileno(), claims.fileno()})
        stand_in(None)
        heir = divide(stand_in, process.resume)
        os.environ.update(kind.manager.environment)
        _Keeper(kind, pool, claims, stand_in, heir).run()
    finally:
        os._exit(0)


class _Keeper:
    def __init__(self, kind: Kind, pool: socket.socket, claims: socket.socket, stand_in: StandIn, heir: Heir) -> None:
        self._kind, self._pool, self._claims, self._stand_in, self._heir = kind, pool, claims, stand_in, heir
        manager = kind.manager
        config = manager.config[0] if manager.config else None
        self._plugins = Plugins(load_config(config), manager.root, manager.run_root)
        self._store = Store(manager.paths)
        self._id = new_id()
        self._wake, self._dismissed = wakeable(), False
        signal.signal(signal.SIGUSR1, self._dismiss)
        for seam in SEAMS:
            self._plugins.prepare(seam, self._plugins.default(seam))

    def run(self) -> None:
        """Until the slot is gone, or never, where a container comes."""
        self._store.initialise()
        with ExitStack() as held:
            lock = held.enter_context(self._store.locked(self._id))
            records.write(self._note, Process.of(os.getpid()), durable=False)
            try:
                slot = slots.make(self._kind, self._plugins, self._id)
                self._pool.send(b"r%d %d" % (os.getpid(), self._heir.pid))
                memory.populate()
                found = self._claimed(slot, lock)
            except BaseException:
                self._drain()
                raise
            if not found:
                self._drain()
                return
        try:
            os.unlink(self._note)
            self._await_launch(*found)
        finally:
            # Whoever has recorded the container undoes it, or lets the next command do so, and may start it again.
            with self._store.locked(self._id):
                if self._id not in self._store.ids():
                    self._drain()

    @property
    def _note(self) -> str:
        return self._store.paths.slot(self._id)

    def _drain(self) -> None:
        """Undo the slot, and forget the lock, which we hold."""
        slots.drain(self._kind, self._plugins, self._id)
        with suppress(FileNotFoundError):
            os.unlink(self._note)
        self._store.forget_lock(self._id)

    def _claimed(self, slot: Slot, lock: int) -> tuple[socket.socket, Claim] | None:
        """The channel to one who has claimed the slot, and his claim; None when it is not wanted any more."""
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)  # of children that making it has needed, too
        poller = select.poll()
        for fd in (self._pool.fileno(), self._claims.fileno(), self._wake):
            poller.register(fd, select.POLLIN)
        while not self._dismissed:
            ready = {fd for fd, _ in poller.poll(_PATIENCE * 1000)}
            if not ready or ready & {self._pool.fileno(), self._wake}:
                break
            word, fds, _, _ = socket.recv_fds(self._claims, 1, 2, socket.MSG_CMSG_CLOEXEC)
            if not word:
                break
            channel = socket.socket(*passing.FAMILY, fds[0])
            with suppress(OSError, ValueError, CmanagerError):
                claim = passing.value(Claim, fds[1])
                if claim.fits(slot.kind):
                    self._stand_in(claim)
                    socket.send_fds(channel, [json.dumps(to_data(slot)).encode()], [lock])
                    return channel, claim
            channel.close()
        return None

    def _dismiss(self, number: int, frame: object) -> None:
        self._dismissed = True

    def _await_launch(self, channel: socket.socket, claim: Claim) -> None:
        """Supervise the container that comes; returns when there comes none."""
        self._claims.close()
        with suppress(OSError):
            self._pool.send(b"g")
        os.environ.clear()
        os.environ.update(claim.environment)
        time.tzset()
        words, fds, _, _ = socket.recv_fds(channel, passing.LONGEST_WORDS, passing.MOST_GIVEN, socket.MSG_CMSG_CLOEXEC)
        if not words:
            return
        arrived = passing.Arrived.of(words, fds)
        try:
            launch = arrived.launch(self._plugins)
            assert isinstance(launch, Launch), "a container's"
        except BaseException as error:
            say(arrived.report, error)
            raise
        for end in (channel, self._pool):
            end.close()
        for fd in (self._wake, signal.set_wakeup_fd(-1)):
            os.close(fd)
        self._heir.words = claim.words
        process.work(launch, self._plugins, arrived.report, arrived.client, arrived.lock, self._heir)
