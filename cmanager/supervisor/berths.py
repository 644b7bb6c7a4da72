"""The way to slots that keepers have ready (keeper.py, pool.py)."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress

from ..errors import CorruptError
from ..model.codec import from_data, to_data
from . import passing
from .keeper import Claim
from .launch import Launch
from .slots import Kind, Manager, Slot

#: Environment variable: 0 for no slots.
VARIABLE = "CMANAGER_POOL"
_PATIENCE = 0.5  # seconds for the answer to a claim, which a keeper that is awake gives in one millisecond


def claim(
    offers: Mapping[bytes, socket.socket], manager: Manager, network: str, pid: int, words: tuple[str, ...]
) -> KeptBerth | None:
    """A berth for a container on that network, of those that are offered: kinds as JSON, and ends for claims.

    pid: whose child the supervisor would have been; words: the command line. None where none is fit, or another one was
    faster.
    """
    if os.environ.get(VARIABLE) == "0":
        return None
    groups = " ".join(map(str, os.getgroups()))
    wanted = Claim(manager, network, pid, groups, words, dict(os.environ))
    for kind, end in offers.items():
        with suppress(OSError, ValueError, CorruptError):
            if wanted.fits(from_data(Kind, json.loads(kind))):
                return _claim(end, wanted)
    return None


def want(end: socket.socket, kind: Kind) -> None:
    """Say which kind of slot the last container would have taken. end: the pool's `wants`."""
    if os.environ.get(VARIABLE) != "0":
        with suppress(OSError):
            end.send(json.dumps(to_data(kind)).encode(), socket.MSG_DONTWAIT)


def _claim(claims: socket.socket, wanted: Claim) -> KeptBerth | None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_PATIENCE)
    data = passing.memory(wanted)
    try:
        with theirs:
            socket.send_fds(claims, [b"c"], [theirs.fileno(), data], socket.MSG_DONTWAIT)
        answer, fds, _, _ = socket.recv_fds(ours, 1 << 16, 1, socket.MSG_CMSG_CLOEXEC)
        if answer:
            ours.settimeout(None)
            return KeptBerth(from_data(Slot, json.loads(answer)), ours, fds[0])
    except OSError:
        ours.close()
        raise
    finally:
        os.close(data)
    ours.close()
    return None


class KeptBerth:
    """Implements `cmanager.supervisor.slots.Berth`. channel: to the keeper; lock: of the slot's id."""

    def __init__(self, slot: Slot, channel: socket.socket, lock: int) -> None:
        self.slot, self._channel, self._lock = slot, channel, lock

    def recorded(self) -> None:
        """See `Berth.recorded`."""
        if self._lock >= 0:
            # A program that forks meanwhile has copies of both, which must not hold anybody up.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = -1

    def launch(self, launch: Launch, report: socket.socket, client: socket.socket | None, lock: int) -> None:
        """See `Berth.launch`."""
        with passing.packed(launch, report, client, lock) as (words, fds):
            socket.send_fds(self._channel, [words], fds)

    def close(self) -> None:
        """See `Berth.close`."""
        self.recorded()
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()
