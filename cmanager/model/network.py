"""What a container asks of a network, and what it got."""

from __future__ import annotations

import re

from ..errors import InvalidError
from ..linux.values import frozen

PROTOCOLS = ("tcp", "udp", "sctp")
_MOST = 65535


@frozen
class PortMapping:
    """One port of a container that the host answers for.

    host_ip: IPv4 or IPv6 address of the host, "" for all of them; host_port: 0 for a free one; container_port: 1 to
    65535; protocol: one of `PROTOCOLS`; host_last: where not 0, any free port from host_port to this one will do.
    """

    host_ip: str
    host_port: int
    container_port: int
    protocol: str = "tcp"
    host_last: int = 0

    @property
    def exposed(self) -> str:
        """The container's side: "80/tcp"."""
        return f"{self.container_port}/{self.protocol}"

    @property
    def binding(self) -> str:
        """The host's side: "0.0.0.0:8080", with brackets round an IPv6 address."""
        ip = self.host_ip or "0.0.0.0"
        ports = f"{self.host_port}-{self.host_last}" if self.host_last else f"{self.host_port}"
        return f"[{ip}]:{ports}" if ":" in ip else f"{ip}:{ports}"


def parse_ports(text: str) -> range:
    """ "80" or "80-90"; InvalidError for what is neither, or no port."""
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text, re.ASCII)
    if not found:
        raise InvalidError(f"{text!r} is no port, expected 80 or a range such as 80-90")
    first = int(found[1])
    last = int(found[2] or first)
    if not 1 <= first <= last <= _MOST:
        raise InvalidError(f"{text!r} is no port, ports go from 1 to {_MOST}, a range from its lower one")
    return range(first, last + 1)


def parse_exposed(text: str) -> tuple[str, ...]:
    """What an image exposes, or --expose: "80", "80/udp" or "80-82/tcp" as "80/tcp" strings; InvalidError."""
    ports, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidError(f"{text!r}: unknown protocol {protocol!r}, expected {', '.join(PROTOCOLS)}")
    return tuple(f"{port}/{protocol}" for port in parse_ports(ports))


@frozen
class Rate:
    """How fast a container may receive and send, in bytes a second; 0 for no bound."""

    receive: int = 0
    send: int = 0


@frozen
class Endpoint:
    """What a container asks for.

    hostname: str; aliases: names other containers may use; address, mac: fixed ones, "" for a free one; ports: to be
    published, only ever asked of a network that is a `cmanager.seams.Publish`.
    """

    hostname: str
    aliases: tuple[str, ...] = ()
    address: str = ""
    mac: str = ""
    ports: tuple[PortMapping, ...] = ()


@frozen
class Attachment:
    """What a network provider gave.

    interface: name inside the namespace, "" when it made none; addresses: "10.88.0.2/16"; routes: (destination CIDR,
    gateway); mac: str; gateway: str; dns: name server addresses the container should use, empty for the host's;
    ports: what was published, in the order of the endpoint, each with the address and the port that it got.
    """

    interface: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    mac: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    ports: tuple[PortMapping, ...] = ()


@frozen
class Peer:
    """A neighbour on the same network: an address and the names it answers to, for /etc/hosts."""

    address: str
    names: tuple[str, ...]
