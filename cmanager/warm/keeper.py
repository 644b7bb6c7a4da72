"""The keeper: a fork of the server that has a slot ready, waits for its container, and becomes the supervisor of that.

It makes the slot when nobody waits for it, and undoes it when the server has left, when `gc --pools` says so, and when
whoever claimed it did not come to launch a container. A keeper that is killed leaves a slot that nobody records, which
`gc` finds.

To the server it says `r`, it has a slot, and `g`, that has been claimed. On the way that all workers share come claims:
two descriptors, a channel and a `Claim`. On that channel the keeper answers with the slot and its lock, or closes it;
then comes the container's `Launch`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from contextlib import ExitStack, suppress
from typing import Any, NoReturn

from attrs import frozen

from ..errors import CmanagerError
from ..linux import memory
from ..linux.process import Process
from ..model.codec import from_data, to_data
from ..model.names import new_id
from ..plugins import Plugins, load_config
from ..seams import SEAMS
from ..state import Store, records
from ..supervisor import process, slots
from ..supervisor.background import detach, say, wakeable
from ..supervisor.launch import Launch
from ..supervisor.slots import Kind, Manager, Slot
from .become import inherit
from .request import Refused
from .title import Title

#: What is shown of a keeper that has nothing to do yet.
WAITING = "cmanager: keeps a network and a cgroup for a container"
_FAMILY = (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)
_ROLES = ("report", "client", "lock")


@frozen
class Claim:
    """Who claims a slot, and what it must be fit for. words: the command line; environment: pairs; groups: numbers."""

    manager: Manager
    network: str
    pid: int
    groups: str
    words: tuple[str, ...]
    environment: dict[str, str]

    def fits(self, slot: Slot) -> bool:
        """Whether the slot is one for it."""
        return (self.manager, self.network) == (slot.kind.manager, slot.kind.network)


def keep(title: Title, kind: bytes, server: socket.socket, claims: socket.socket, wants: socket.socket) -> NoReturn:
    """Be a keeper of a slot of this kind, in a process that was just forked; never returns. server: the end that the
    server hears; claims: where workers ask; wants: where to say what the next slot should be like."""
    try:
        detach({server.fileno(), claims.fileno(), wants.fileno()})
        title.set([WAITING])
        wanted = from_data(Kind, json.loads(kind))
        os.environ.update(wanted.manager.environment)
        _Keeper(wanted, server, claims, wants, title).run()
    finally:
        os._exit(0)


class _Keeper:
    def __init__(
        self, kind: Kind, server: socket.socket, claims: socket.socket, wants: socket.socket, title: Title
    ) -> None:
        self._kind, self._server, self._claims, self._wants, self._title = kind, server, claims, wants, title
        manager = kind.manager
        config = manager.config[0] if manager.config else None
        self._plugins = Plugins(load_config(config), manager.root, manager.run_root)
        self._store = Store(manager.paths)
        self._id = new_id()
        self._wake, self._dismissed = wakeable(), False
        signal.signal(signal.SIGUSR1, self._dismiss)
        for seam in SEAMS:
            self._plugins.prepare(seam, self._plugins.default(seam))
        # It stays for as long as the container does: what it shares is not copied until it must be.
        memory.populate(own=False)

    def run(self) -> None:
        """Until the slot is gone, or never, where a container comes."""
        self._store.initialise()
        note = self._store.paths.slot(self._id)
        with ExitStack() as held:
            lock = held.enter_context(self._store.locked(self._id))
            records.write(note, Process.of(os.getpid()), durable=False)
            try:
                slot = slots.make(self._kind, self._plugins, self._id)
                self._server.send(b"r")
                found = self._claimed(slot, lock)
                if found:
                    held.close()
                    os.unlink(note)
                    self._await_launch(*found)
            finally:
                slots.drain(self._kind, self._plugins, self._id)
                with suppress(FileNotFoundError):
                    os.unlink(note)
                self._store.forget_lock(self._id)

    def _claimed(self, slot: Slot, lock: int) -> tuple[socket.socket, Claim] | None:
        """The channel to one who has claimed the slot, and his claim; None when it is not wanted any more."""
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)  # of children that making it has needed, too
        poller = select.poll()
        for fd in (self._server.fileno(), self._claims.fileno(), self._wake):
            poller.register(fd, select.POLLIN)
        while not self._dismissed:
            ready = {fd for fd, _ in poller.poll()}
            if ready & {self._server.fileno(), self._wake}:
                break
            word, fds, _, _ = socket.recv_fds(self._claims, 1, 2, socket.MSG_CMSG_CLOEXEC)
            if not word:
                break
            channel = socket.socket(*_FAMILY, fds[0])
            with suppress(OSError, Refused, CmanagerError):
                claim: Claim = from_data(Claim, _read(fds[1]))
                if claim.fits(slot):
                    inherit(claim.pid, claim.groups)
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
            self._server.send(b"g")
        self._title.set(list(claim.words))
        os.environ.clear()
        os.environ.update(claim.environment)
        word, fds, _, _ = socket.recv_fds(channel, 64, 1 + len(_ROLES), socket.MSG_CMSG_CLOEXEC)
        if not word:
            return
        given = dict(zip(word.decode().split(), fds[1:], strict=True))
        report = socket.socket(*_FAMILY, given["report"])
        client = socket.socket(*_FAMILY, given["client"]) if "client" in given else None
        lock = given.get("lock", -1)
        try:
            launch: Launch = from_data(Launch, _read(fds[0]))
            for seam, name in launch.container.providers.named().items():
                self._plugins.prepare(seam, name)
            self._tell_kind(launch)
        except BaseException as error:
            say(report, error)
            raise
        for end in (channel, self._server, self._wants):
            end.close()
        signal.set_wakeup_fd(-1)
        os.close(self._wake)
        process.work(launch, self._plugins, report, client, lock)

    def _tell_kind(self, launch: Launch) -> None:
        if launch.container.request.limits == self._kind.limits:
            return
        kind = slots.kind_of(launch.container, self._plugins, self._kind.manager)
        if kind:
            with suppress(OSError):
                self._wants.send(json.dumps(to_data(kind)).encode(), socket.MSG_DONTWAIT)


def _read(fd: int) -> Any:
    with os.fdopen(fd) as file:
        file.seek(0)
        return json.load(file)
