"""The bridge network: a veth pair for each container, addresses from a pool, and NAT in a table of our own.

pool.py     which container has which address
firewall.py the nftables table
network.py  the network seam
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from attrs import Attribute, field, frozen

from cmanager import hookimpl
from cmanager.errors import InvalidError
from cmanager.model import Context, Provider

_LINK = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,14}")


def _is_subnet(options: Any, attribute: Attribute[str], value: str) -> None:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise InvalidError(f"subnet: {error}") from None
    if network.prefixlen > 30:
        raise InvalidError(f"subnet: {value} has no room for a gateway and a container")


def _is_link(options: Any, attribute: Attribute[str], value: str) -> None:
    if not _LINK.fullmatch(value):
        raise InvalidError(f"name: {value!r} cannot name a bridge, allowed are 15 of [A-Za-z0-9_.]")


@frozen
class Options:
    """subnet: IPv4 network the addresses come from, its first is the gateway's; name: of the bridge; mtu: bytes, 0 for
    the kernel's; dns: name servers for the containers, empty for the host's."""

    subnet: str = field(default="10.88.0.0/16", validator=_is_subnet)
    name: str = field(default="cmanager0", validator=_is_link)
    mtu: int = 0
    dns: tuple[str, ...] = ()


def _bridge(context: Context, options: Any) -> Any:
    from .firewall import Firewall
    from .network import BridgeNetwork
    from .pool import Pool

    pool = Pool(f"{context.run_dir}/{options.name}", options.subnet)
    return BridgeNetwork(pool, Firewall(options.name, options.subnet), options.name, options.mtu, options.dns)


@hookimpl
def cmanager_networks() -> list[Provider]:
    """One provider, `bridge`."""
    return [Provider("bridge", _bridge, options=Options)]
