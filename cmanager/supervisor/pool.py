"""The keepers of a process that may be forked: the command server, or the starter of a program."""

from __future__ import annotations

import json
import os
import select
import socket
from contextlib import suppress

from ..errors import CorruptError
from ..model.codec import from_data
from .keeper import StandIn, keep
from .slots import Kind

#: How many kinds of containers a slot is kept for.
_KINDS = 3
_LONGEST = 1 << 16  # bytes of a kind


class _Keeper:
    """One that has a slot, if `ready`, or makes it; nobody's child. heard: what it says; claims: the way to it."""

    def __init__(self, kind: Kind, stand_in: StandIn) -> None:
        self.heard, pool = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.claims, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ready = False
        self.pids: set[int] = set()
        with pool, theirs:
            middle = os.fork()
            if not middle:
                try:
                    if os.fork() == 0:
                        keep(kind, pool, theirs, stand_in)
                finally:
                    os._exit(0)
            with suppress(ChildProcessError):  # where SIGCHLD is ignored nobody is waited for
                os.waitpid(middle, 0)

    def close(self) -> None:
        """Have it undo what it made, unless a container has taken that."""
        self.heard.close()
        self.claims.close()


class Pool:
    """A keeper for each of the kinds that were wanted last, and at once another one where a slot has been taken.

    poller: of the process, which hands over with `hear` what it finds to be read; stand_in: called in each keeper;
    wants: where kinds come. `close` it: then every slot is undone that no container has taken.
    """

    def __init__(self, poller: select.poll, stand_in: StandIn, wants: socket.socket) -> None:
        self._poller, self._stand_in, self._wants = poller, stand_in, wants
        #: As they were wanted, the last one first.
        self._keepers: dict[bytes, _Keeper] = {}
        self._over = False
        poller.register(wants, select.POLLIN)

    def hear(self, fd: int) -> None:
        """Read what comes there, where that is one of its descriptors, and still is."""
        if fd == self._wants.fileno():
            if kind := self._wants.recv(_LONGEST):
                self._want(kind)
            else:
                self._poller.unregister(self._wants)  # nobody is left who could say so
            return
        for kind, keeper in self._keepers.items():
            if keeper.heard.fileno() == fd:
                self._hear(kind, keeper)
                return

    def offers(self) -> dict[bytes, socket.socket]:
        """Where a slot can be claimed, by its kind, the last wanted one first."""
        return {kind: keeper.claims for kind, keeper in self._keepers.items() if keeper.ready}

    def pids(self) -> set[int]:
        """Those of the keepers that have a slot, and of their heirs."""
        return {pid for keeper in self._keepers.values() for pid in keeper.pids}

    def close(self) -> None:
        """Keep nothing any more."""
        for kind in list(self._keepers):
            self._drop(kind)

    def end(self) -> None:
        """The same, whatever is wanted later."""
        self._over = True
        self.close()

    def _want(self, kind: bytes) -> None:
        if kind in self._keepers:
            self._keepers = {kind: self._keepers.pop(kind), **self._keepers}
            return
        for old in list(self._keepers)[_KINDS - 1 :]:
            self._drop(old)
        self._keep(kind)

    def _hear(self, kind: bytes, keeper: _Keeper) -> None:
        try:
            said = keeper.heard.recv(32, socket.MSG_DONTWAIT)
        except BlockingIOError:  # another one by now, which has got the number
            return
        if said[:1] == b"r":
            keeper.ready, keeper.pids = True, set(map(int, said[1:].split()))
            return
        self._drop(kind)
        if said:  # it has been claimed; else it has failed, waited long enough, or somebody has ended it
            self._keep(kind)

    def _keep(self, kind: bytes) -> None:
        if self._over:
            return
        with suppress(OSError, ValueError, CorruptError):  # else none, until it is wanted again
            keeper = _Keeper(from_data(Kind, json.loads(kind)), self._stand_in)
            self._keepers = {kind: keeper, **self._keepers}
            self._poller.register(keeper.heard, select.POLLIN)

    def _drop(self, kind: bytes) -> None:
        keeper = self._keepers.pop(kind)
        self._poller.unregister(keeper.heard)
        keeper.close()
