"""What went through the links of a network namespace (proc_pid_net(5), net/dev)."""

from __future__ import annotations

import os

from . import netns
from .values import frozen


@frozen
class Traffic:
    """What one interface received and sent since it was made. interface: its name inside; numbers are int."""

    interface: str
    received_bytes: int = 0
    received_packets: int = 0
    received_errors: int = 0
    received_dropped: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0
    sent_errors: int = 0
    sent_dropped: int = 0


def of_process(pid: int) -> tuple[Traffic, ...]:
    """That of the namespace a living process is in, without the loopback. Costs one read, some ten microseconds.

    Raises OSError when there is no such process, or it has ended and is not reaped.
    """
    return _read(f"/proc/{pid}/net/dev")


def of_namespace(path: str) -> tuple[Traffic, ...]:
    """That of the namespace at `path`, which the calling thread enters for a moment. Raises OSError."""
    with netns.entered(path):
        return _read("/proc/thread-self/net/dev")


def namespace(pid: int) -> int:
    """The inode number of the namespace a process is in: those of the same one count the same. Raises OSError."""
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def _read(path: str) -> tuple[Traffic, ...]:
    found = []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file.readlines()[2:]:
            name, _, rest = line.strip().rpartition(": ")
            numbers = [int(word) for word in rest.split()]
            if name != "lo":
                found.append(Traffic(name, *numbers[0:4], *numbers[8:12]))
    return tuple(found)
