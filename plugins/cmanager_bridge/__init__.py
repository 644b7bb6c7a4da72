"""The bridge network: a veth pair for each container, addresses from a pool, and NAT in a table of our own.

pool.py     which container has which address
ports.py    which container has which ports of the host
firewall.py the nftables table, and forwarding
bridge.py   the bridge that comes with the first container and goes with the last
network.py  the network seam
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from attrs import Attribute, field

from cmanager import hookimpl
from cmanager.errors import InvalidError
from cmanager.linux.values import frozen
from cmanager.model import Context, Provider

_LINK = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,14}")
_LEAST_MTU, _MOST_MTU = 68, 65535  # ETH_MIN_MTU, ETH_MAX_MTU


def _is_subnet(options: Any, attribute: Attribute[str], value: str) -> None:
    try:
        network = ipaddress.IPv4Network(value if isinstance(value, str) else repr(value))
    except ValueError as error:
        raise InvalidError(f"subnet: {error}") from None
    if network.prefixlen > 30:
        raise InvalidError(f"subnet: {value} has no room for a gateway and a container, give a /30 or wider")


def _is_link(options: Any, attribute: Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not _LINK.fullmatch(value):
        raise InvalidError(f"name: {value!r} cannot name a bridge, allowed are 15 of [A-Za-z0-9_.], first a letter")


def _is_mtu(options: Any, attribute: Attribute[int], value: int) -> None:
    if type(value) is not int or (value and not _LEAST_MTU <= value <= _MOST_MTU):
        raise InvalidError(f"mtu: {value!r} is neither 0 for the kernel's nor between {_LEAST_MTU} and {_MOST_MTU}")


def _are_addresses(options: Any, attribute: Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if not isinstance(value, tuple):
        raise InvalidError(f'dns: {value!r} is no list of addresses, write ["192.0.2.53"]')
    for address in value:
        try:
            ipaddress.ip_address(address if isinstance(address, str) else repr(address))
        except ValueError as error:
            raise InvalidError(f"dns: {error}") from None


@frozen
class Options:
    """subnet: IPv4 network the addresses come from, its first is the gateway's; name: of the bridge; mtu: bytes, 0 for
    the kernel's; dns: name servers for the containers, empty for the host's."""

    subnet: str = field(default="10.88.0.0/16", validator=_is_subnet)
    name: str = field(default="cmanager0", validator=_is_link)
    mtu: int = field(default=0, validator=_is_mtu)
    dns: tuple[str, ...] = field(default=(), validator=_are_addresses)


def _bridge(context: Context, options: Any) -> Any:
    from .bridge import Bridge
    from .firewall import Firewall
    from .network import BridgeNetwork
    from .pool import Pool
    from .ports import Ports

    directory = f"{context.run_dir}/{options.name}"
    pool = Pool(directory, options.subnet)
    firewall = Firewall(options.name, options.subnet)
    bridge = Bridge(f"{directory}/bridge", context.root, options.name, pool.network, options.mtu, firewall)
    return BridgeNetwork(pool, Ports(f"{directory}/ports"), bridge, options.mtu, options.dns)


@hookimpl
def cmanager_networks() -> list[Provider]:
    """One provider, `bridge`."""
    return [Provider("bridge", _bridge, options=Options)]
