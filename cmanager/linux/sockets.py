"""Sockets of the host: whether a port is free, and who has it (ip(7), proc_pid_net(5))."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"


def probe(protocol: str, address: str, port: int) -> None:
    """Bind a "tcp" or "udp" port of an IPv4 address for a moment.

    Raises OSError as bind(2): EADDRINUSE when a socket has it, EADDRNOTAVAIL when the address is not of this host.
    """
    with socket.socket(socket.AF_INET, _KINDS[protocol] | socket.SOCK_CLOEXEC) as probing:
        if protocol == "tcp":
            # As every server does, or connections that ended a minute ago would count; one that listens still does.
            probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probing.bind((address, port))


def ephemeral() -> range:
    """Ports the host gives to whoever asks for none. Raises OSError."""
    with open(_EPHEMERAL, encoding="ascii") as file:
        first, last = map(int, file.read().split())
    return range(first, last + 1)


def holder(protocol: str, port: int) -> str:
    """Who has a port, for an error's text: "process 123 (nginx)", or "a socket of this host" when nobody is found.

    Reads the descriptors of all processes.
    """
    wanted = {f"socket:[{inode}]" for inode in _inodes(protocol, port)}
    if wanted:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                if not wanted.isdisjoint(_open_files(pid)):
                    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                        return f"process {pid} ({file.read().strip()})"
    return "a socket of this host"


def _inodes(protocol: str, port: int) -> Iterator[str]:
    for table in (protocol, f"{protocol}6"):
        with suppress(OSError), open(f"/proc/thread-self/net/{table}", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[9] != "0":
                    yield fields[9]


def _open_files(pid: str) -> Iterator[str]:
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            yield os.readlink(f"/proc/{pid}/fd/{fd}")
