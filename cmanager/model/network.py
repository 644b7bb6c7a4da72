"""What a container asks of a network, and what it got."""

from __future__ import annotations

from attrs import frozen


@frozen
class Endpoint:
    """What a container asks for.

    hostname: str; aliases: names other containers may use; address, mac: fixed ones, "" for a free one.
    """

    hostname: str
    aliases: tuple[str, ...] = ()
    address: str = ""
    mac: str = ""


@frozen
class Attachment:
    """What a network provider gave.

    interface: name inside the namespace, "" when it made none; addresses: "10.88.0.2/16"; routes: (destination CIDR,
    gateway); mac: str; gateway: str; dns: name server addresses the container should use, empty for the host's;
    ports: published ports as "ip:host:container/protocol".
    """

    interface: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    mac: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


@frozen
class Peer:
    """A neighbour on the same network: an address and the names it answers to, for /etc/hosts."""

    address: str
    names: tuple[str, ...]
