"""Values, launches and offers on their way from one process of ours to another, over sockets that nobody else has."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..linux.values import frozen
from ..model.codec import from_data, to_data
from ..plugins import Plugins
from .launch import ExecLaunch, Launch

T = TypeVar("T")
FAMILY = (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)
#: Bytes and descriptors of a packet with offers.
LONGEST_OFFER, MOST_OFFERED = 1 << 18, 16
#: Of a packet that begins a launch.
LONGEST_WORDS, MOST_GIVEN = 4096, 4
_KINDS: dict[str, type[Launch] | type[ExecLaunch]] = {"Launch": Launch, "ExecLaunch": ExecLaunch}
_ROLES = ("report", "client", "lock")


def memory(value: Any) -> int:
    """A descriptor of an attrs value as JSON; the caller closes it. Raises OSError."""
    fd = os.memfd_create("value")
    os.write(fd, json.dumps(to_data(value)).encode())
    return fd


def value(kind: type[T], fd: int) -> T:
    """What `memory` was given; the descriptor is closed. Raises CorruptError, ValueError, OSError."""
    with os.fdopen(fd) as file:
        file.seek(0)
        return from_data(kind, json.load(file))


@contextmanager
def packed(
    launch: Launch | ExecLaunch, report: socket.socket, client: socket.socket | None, lock: int
) -> Iterator[tuple[bytes, list[int]]]:
    """The words and the descriptors of one packet, for as long as that is being sent. Raises OSError.

    The first descriptor is the launch itself; the others stay the caller's.
    """
    given = dict(zip(_ROLES, (report.fileno(), client.fileno() if client else -1, lock), strict=True))
    there = {role: fd for role, fd in given.items() if fd >= 0}
    data = memory(launch)
    try:
        yield " ".join((type(launch).__name__, *there)).encode(), [data, *there.values()]
    finally:
        os.close(data)


@frozen
class Arrived:
    """A launch as it came. report, client, lock: as of `launch.start`; they are the receiver's, who closes them."""

    report: socket.socket
    client: socket.socket | None
    lock: int
    kind: type[Launch] | type[ExecLaunch]
    data: int

    @classmethod
    def of(cls, words: bytes, fds: Sequence[int]) -> Arrived:
        """From what `packed` gave."""
        kind, *roles = words.decode().split()
        there = dict(zip(roles, fds[1:], strict=True))
        client = socket.socket(*FAMILY, there["client"]) if "client" in there else None
        return cls(socket.socket(*FAMILY, there["report"]), client, there.get("lock", -1), _KINDS[kind], fds[0])

    def launch(self, plugins: Plugins) -> Launch | ExecLaunch:
        """The launch itself, which can be had once, its plugins prepared. Raises CorruptError, ValueError, OSError."""
        found = value(self.kind, self.data)
        for seam, name in found.container.providers.named().items():
            plugins.prepare(seam, name)
        return found

    def close(self) -> None:
        """Close what came with it."""
        self.report.close()
        if self.client:
            self.client.close()
        if self.lock >= 0:
            os.close(self.lock)


def send_offers(end: socket.socket, offers: Mapping[bytes, socket.socket], *before: socket.socket) -> None:
    """Send where slots can be claimed, by their kinds, behind some other ends. Raises OSError."""
    fds = [one.fileno() for one in (*before, *offers.values())]
    socket.send_fds(end, [b"\n".join((b"o", *offers))], fds)


def receive_offers(end: socket.socket, before: int = 0) -> tuple[list[socket.socket], dict[bytes, socket.socket]]:
    """The so many ends that came before, and the offers; nothing where there is nobody any more. Raises OSError."""
    words, fds, _, _ = socket.recv_fds(end, LONGEST_OFFER, MOST_OFFERED, socket.MSG_CMSG_CLOEXEC)
    ends = [socket.socket(fileno=fd) for fd in fds]
    return ends[:before], dict(zip(words.split(b"\n")[1:], ends[before:], strict=True))
