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
        self.ready, self.pid = False, 0
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
    """A keeper for each of the kinds that were wanted last.

    poller: of the process, which hands over with `hear` what it finds to be read; stand_in: called in each keeper;
    wants: where kinds come. `close` it: then every slot is undone that no container has taken.
    """

    def __init__(self, poller: select.poll, stand_in: StandIn, wants: socket.socket) -> None:
        self._poller, self._stand_in, self._wants = poller, stand_in, wants
        #: As they came, the last one first.
        self._kinds: dict[bytes, _Keeper | None] = {}
        poller.register(wants, select.POLLIN)

    def hear(self, fd: int) -> None:
        """Read what comes there, where that is one of its descriptors, and still is."""
        if fd == self._wants.fileno():
            if kind := self._wants.recv(_LONGEST):
                self._want(kind)
            else:
                self._poller.unregister(self._wants)  # nobody is left who could say so
            return
        for kind, keeper in self._kinds.items():
            if keeper and keeper.heard.fileno() == fd:
                self._hear(kind, keeper)
                return

    def lacks(self) -> bool:
        """Whether a slot that is wanted is not kept."""
        return None in self._kinds.values()

    def make(self) -> None:
        """Begin to keep one that is lacking, of the kind that was wanted last."""
        kind = next(kind for kind, keeper in self._kinds.items() if not keeper)
        try:
            keeper = _Keeper(from_data(Kind, json.loads(kind)), self._stand_in)
        except (OSError, ValueError, CorruptError):
            del self._kinds[kind]  # until it is wanted again
            return
        self._kinds[kind] = keeper
        self._poller.register(keeper.heard, select.POLLIN)

    def offers(self) -> dict[bytes, socket.socket]:
        """Where a slot can be claimed, by its kind, the last wanted one first."""
        return {kind: keeper.claims for kind, keeper in self._kinds.items() if keeper and keeper.ready}

    def pids(self) -> set[int]:
        """Those of the keepers that have a slot."""
        return {keeper.pid for keeper in self._kinds.values() if keeper and keeper.ready}

    def close(self) -> None:
        """Keep nothing any more."""
        for kind in list(self._kinds):
            self._drop(kind)

    def _want(self, kind: bytes) -> None:
        before = dict(self._kinds)
        self._kinds = {kind: before.pop(kind, None), **before}
        for old in list(self._kinds)[_KINDS:]:
            self._drop(old)

    def _hear(self, kind: bytes, keeper: _Keeper) -> None:
        said = keeper.heard.recv(32)
        if said[:1] == b"r":
            keeper.ready, keeper.pid = True, int(said[1:])
            return
        self._drop(kind)
        if said:  # it has been claimed; else it has failed, waited long enough, or somebody has ended it
            self._kinds[kind] = None

    def _drop(self, kind: bytes) -> None:
        keeper = self._kinds[kind]
        if keeper:
            self._poller.unregister(keeper.heard)
            keeper.close()
        del self._kinds[kind]
