"""Published ports: which container has which of the host's. A file a container, on tmpfs beside the leases."""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Iterable
from contextlib import suppress

from attrs import evolve

from cmanager.errors import ConflictError, HostError, InvalidError, UnsupportedError
from cmanager.linux import files, sockets
from cmanager.model import PortMapping
from cmanager.model.names import ID

_ALL = "0.0.0.0"
_PROTOCOLS = ("tcp", "udp")


class Ports:
    """`directory/ID` has a line "PROTOCOL ADDRESS PORT" for each port of container ID.

    directory: made 0700 when first used. Callers hold the pool's lock round `take` and `release`. Looking for a port
    reads all files, which grows with the number of containers that have some; those without cost nothing.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def check(self, wanted: tuple[PortMapping, ...], *, now: bool) -> None:
        """See `cmanager.seams.Publish.check_ports`."""
        wanted = _plain(wanted)
        if now:
            self._chosen(wanted)

    def take(self, id: str, wanted: tuple[PortMapping, ...]) -> tuple[PortMapping, ...]:
        """Claim them for container `id`, all or none; each with the address and the port that it got.

        Raises as `check` does, and ConflictError or OSError; then nothing has changed.
        """
        if not wanted:
            return ()
        chosen = self._chosen(_plain(wanted))
        with suppress(FileExistsError):
            os.mkdir(self._directory, 0o700)
        lines = "".join(f"{found.protocol} {found.host_ip} {found.host_port}\n" for found in chosen)
        files.write_atomic(f"{self._directory}/{id}", lines.encode())
        return chosen

    def held(self, id: str) -> bool:
        """Whether container `id` has any."""
        return os.path.exists(f"{self._directory}/{id}")

    def release(self, id: str) -> None:
        """Give them back. Idempotent."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._directory}/{id}")

    def _chosen(self, wanted: tuple[PortMapping, ...]) -> tuple[PortMapping, ...]:
        taken = _Taken(self._read())
        # Those that leave no choice first: a free one must not be what another flag names.
        order = sorted(range(len(wanted)), key=lambda at: (wanted[at].host_port == 0, wanted[at].host_last != 0))
        found: dict[int, PortMapping] = {}
        for at in order:
            found[at] = _choose(wanted[at], taken)
            taken.add(found[at].protocol, found[at].host_ip, found[at].host_port, "")
        return tuple(found[at] for at in range(len(wanted)))

    def _read(self) -> Iterable[tuple[str, str, int, str]]:
        with suppress(FileNotFoundError):
            for id in filter(ID.fullmatch, os.listdir(self._directory)):
                with suppress(FileNotFoundError), open(f"{self._directory}/{id}", encoding="ascii") as file:
                    for line in file:
                        protocol, address, port = line.split()
                        yield protocol, address, int(port), id


class _Taken:
    """Ports that somebody has; a port on all addresses excludes every other of its number."""

    def __init__(self, ports: Iterable[tuple[str, str, int, str]]) -> None:
        self._holders: dict[tuple[str, int], dict[str, str]] = {}
        for port in ports:
            self.add(*port)

    def add(self, protocol: str, address: str, port: int, id: str) -> None:
        """id: "" for the container that is asking."""
        self._holders.setdefault((protocol, port), {})[address] = id

    def by(self, protocol: str, address: str, port: int) -> str | None:
        """The id that has it, None when it is free."""
        holders = self._holders.get((protocol, port), {})
        if address == _ALL:
            return next(iter(holders.values()), None)
        return holders.get(address, holders.get(_ALL))


def _plain(wanted: tuple[PortMapping, ...]) -> tuple[PortMapping, ...]:
    """The same with their addresses spelt in one way; raises for what can never be published."""
    plain = []
    fixed = _Taken(())
    for mapping in wanted:
        if mapping.protocol not in _PROTOCOLS:
            raise UnsupportedError(f"cannot publish {mapping.exposed}: network bridge publishes tcp and udp ports only")
        mapping = evolve(mapping, host_ip=_address(mapping.host_ip or _ALL))
        if mapping.host_port and not mapping.host_last:
            key = (mapping.protocol, mapping.host_ip, mapping.host_port)
            if fixed.by(*key) is not None:
                raise InvalidError(f"port {mapping.binding}/{mapping.protocol} is published twice, give each its own")
            fixed.add(*key, "")
        plain.append(mapping)
    return tuple(plain)


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidError(f"cannot publish on {text!r}: it is no address, give one of this host") from None
    if address.version == 6:
        raise UnsupportedError(f"cannot publish on [{address}]: network bridge has no IPv6, give an IPv4 address")
    if address.is_multicast or str(address) == "255.255.255.255":
        raise InvalidError(f"cannot publish on {address}: it is no host's address, give one of this host")
    return str(address)


def _choose(mapping: PortMapping, taken: _Taken) -> PortMapping:
    """The mapping with a port that is free, or what `Publish.check_ports` raises."""
    if mapping.host_port and not mapping.host_last:
        if why := _holder(mapping, mapping.host_port, taken):
            raise ConflictError(
                f"port {mapping.binding}/{mapping.protocol} is taken by {why}, end that or publish another port"
            )
        return mapping
    if mapping.host_port:
        candidates = list(range(mapping.host_port, mapping.host_last + 1))
    else:
        # Not the lowest that is free: what was given back should not lead its old visitors to somebody else.
        every = sockets.ephemeral()
        start = int.from_bytes(os.urandom(4), "big") % len(every)
        candidates = [*every[start:], *every[:start]]
    for port in candidates:
        if not _holder(mapping, port, taken, name=False):
            return evolve(mapping, host_port=port, host_last=0)
    text = f"{mapping.binding}" if mapping.host_port else f"{mapping.host_ip}:{every[0]}-{every[-1]}"
    raise ConflictError(f"ports {text}/{mapping.protocol} are all taken, give others or remove containers")


def _holder(mapping: PortMapping, port: int, taken: _Taken, *, name: bool = True) -> str:
    """Who has it, in words; "" when it is free. name: False when any word will do."""
    id = taken.by(mapping.protocol, mapping.host_ip, port)
    if id is not None:
        return f"container {id[:12]}" if id else "this container"
    try:
        sockets.probe(mapping.protocol, mapping.host_ip, port)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise InvalidError(
                f"cannot publish on {mapping.host_ip}: no link of this host has that address, see `ip address`"
            ) from None
        if error.errno != errno.EADDRINUSE:
            raise HostError.of("publish", f"{mapping.host_ip}:{port}/{mapping.protocol}", error) from None
        return sockets.holder(mapping.protocol, port) if name else "a socket"
    return ""
