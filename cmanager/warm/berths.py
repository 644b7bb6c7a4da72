"""A worker's way to the slot that a keeper has ready (keeper.py)."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from typing import Any

from ..errors import CorruptError
from ..model.codec import from_data, to_data
from ..supervisor.launch import Launch
from ..supervisor.slots import Kind, Manager, Slot
from .keeper import Claim
from .request import Request

#: Environment variable: 0 for no slots.
VARIABLE = "CMANAGER_POOL"
_PATIENCE = 0.5  # seconds for the answer to a claim, which a keeper that is awake gives in one


class WarmBerths:
    """Implements `cmanager.supervisor.slots.Berths` for one request. wants: a way to the server; claims: the way to the
    keeper, None where there is none."""

    def __init__(self, request: Request, wants: socket.socket, claims: socket.socket | None) -> None:
        self._request, self._wants, self._claims = request, wants, claims

    def claim(self, manager: Manager, network: str) -> WarmBerth | None:
        """See `Berths.claim`."""
        if self._claims is None or os.environ.get(VARIABLE) == "0":
            return None
        request, claims, self._claims = self._request, self._claims, None
        groups = " ".join(map(str, os.getgroups()))
        words = ("cmanager", *request.arguments)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_PATIENCE)
        claim = _memory(Claim(manager, network, request.pid, groups, words, dict(os.environ)))
        try:
            with claims, theirs:
                socket.send_fds(claims, [b"c"], [theirs.fileno(), claim], socket.MSG_DONTWAIT)
            answer, fds, _, _ = socket.recv_fds(ours, 1 << 16, 1, socket.MSG_CMSG_CLOEXEC)
            if answer:
                ours.settimeout(None)
                return WarmBerth(from_data(Slot, json.loads(answer)), ours, fds[0])
        except (OSError, ValueError, CorruptError):
            pass  # another was faster, or it has been killed
        finally:
            os.close(claim)
        ours.close()
        return None

    def want(self, kind: Kind) -> None:
        """See `Berths.want`."""
        if os.environ.get(VARIABLE) != "0":
            with suppress(OSError):
                self._wants.send(json.dumps(to_data(kind)).encode(), socket.MSG_DONTWAIT)


class WarmBerth:
    """Implements `cmanager.supervisor.slots.Berth`. channel: to the keeper; lock: of the slot's id."""

    def __init__(self, slot: Slot, channel: socket.socket, lock: int) -> None:
        self.slot, self._channel, self._lock = slot, channel, lock

    def recorded(self) -> None:
        """See `Berth.recorded`."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def launch(self, launch: Launch, report: socket.socket, client: socket.socket | None, lock: int) -> None:
        """See `Berth.launch`."""
        given = {"report": report.fileno(), "client": client.fileno() if client else -1, "lock": lock}
        there = {role: fd for role, fd in given.items() if fd >= 0}
        data = _memory(launch)
        try:
            socket.send_fds(self._channel, [" ".join(there).encode()], [data, *there.values()])
        finally:
            os.close(data)

    def close(self) -> None:
        """See `Berth.close`."""
        self.recorded()
        self._channel.close()


def _memory(value: Any) -> int:
    """A descriptor of an attrs value as JSON; the caller closes it."""
    fd = os.memfd_create("value")
    os.write(fd, json.dumps(to_data(value)).encode())
    return fd
