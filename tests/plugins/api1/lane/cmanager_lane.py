"""Network lane: containers on a bridge of this host, with addresses of one /24; nothing leads out of it.

The kernel keeps the records: the link of each container carries its id and its address as its alias.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network

from attrs import field, frozen

from cmanager import hookimpl
from cmanager.errors import ConflictError, ExhaustedError, HostError, InvalidError
from cmanager.linux import files
from cmanager.linux.netns import entered
from cmanager.linux.rtnetlink import LOOPBACK, Rtnetlink
from cmanager.model import Attachment, Context, Endpoint, Provider

_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")


def _subnet(text: str) -> str:
    if IPv4Network(text).prefixlen != 24:
        raise ValueError(f"{text} is no /24")
    return text


@frozen
class Options:
    """subnet: str, a /24; bridge: str, its name; mtu: int, bytes, 0 for the kernel's choice."""

    subnet: str = field(default="10.244.77.0/24", converter=_subnet)
    bridge: str = "lane0"
    mtu: int = 0


class Lane:
    isolated = True

    def __init__(self, run_dir: str, options: Options) -> None:
        self._lock, self._options = f"{run_dir}/lock", options
        self._subnet = IPv4Network(options.subnet)
        self._gateway = str(self._subnet[1])

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        with self._locked():
            address = self._choose(endpoint.address, endpoint.mac, id)
            mac = endpoint.mac or "0a:4c:" + ":".join(f"{int(part):02x}" for part in address.split("."))
            try:
                self._connect(id, netns, address, mac)
            except OSError as error:
                self._disconnect(id)
                raise HostError.of(f"connect {id[:12]} to", netns, error) from None
        return Attachment(
            interface="eth0",
            addresses=(f"{address}/24",),
            routes=(("0.0.0.0/0", self._gateway),),
            mac=mac,
            gateway=self._gateway,
        )

    def detach(self, id: str, netns: str) -> None:
        with self._locked():
            self._disconnect(id)

    def owned(self) -> frozenset[str]:
        return frozenset(self._leases())

    def check_address(self, address: str, mac: str, *, now: bool) -> None:
        if mac and not _MAC.fullmatch(mac):
            raise InvalidError(f"{mac!r} is no MAC address of a single device")
        if not address:
            return
        try:
            known = IPv4Address(address) in tuple(self._subnet.hosts())[1:]
        except ValueError:
            known = False
        if not known:
            raise InvalidError(f"{address!r} is no address of network lane, which has {self._subnet[2]} to .254")
        holder = next((id for id, taken in self._leases().items() if taken == address), "") if now else ""
        if holder:
            raise ConflictError(f"{address} is taken by container {holder[:12]}")

    def _choose(self, address: str, mac: str, id: str) -> str:
        self.check_address(address, mac, now=True)
        taken = set(self._leases().values())
        free = (str(host) for host in tuple(self._subnet.hosts())[1:] if str(host) not in taken)
        chosen = address or next(free, "")
        if not chosen:
            raise ExhaustedError(f"network lane has no address left in {self._subnet}")
        return chosen

    def _connect(self, id: str, netns: str, address: str, mac: str) -> None:
        there = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with Rtnetlink() as kernel:
                bridge = kernel.index(self._options.bridge)
                if not bridge:
                    kernel.add_bridge(self._options.bridge, self._options.mtu)
                    bridge = kernel.index(self._options.bridge)
                    kernel.add_address(bridge, self._gateway, 24, str(self._subnet[-1]))
                kernel.add_veth(_link(id), bridge, "eth0", 0, mac, there, self._options.mtu)
                kernel.set_alias(_link(id), f"{id} {address}")
        finally:
            os.close(there)
        with entered(netns), Rtnetlink() as kernel:
            kernel.up(LOOPBACK)
            link = kernel.index("eth0")
            kernel.up(link)
            kernel.add_address(link, address, 24, str(self._subnet[-1]))
            kernel.add_default_route(self._gateway, link)

    def _disconnect(self, id: str) -> None:
        with Rtnetlink() as kernel:
            with suppress(OSError):
                kernel.delete(_link(id))
            bridge = kernel.index(self._options.bridge)
            if bridge and not kernel.slaves(bridge):
                with suppress(OSError):
                    kernel.delete(self._options.bridge)

    def _leases(self) -> dict[str, str]:
        with Rtnetlink() as kernel:
            bridge = kernel.index(self._options.bridge)
            aliases = kernel.slaves(bridge) if bridge else ()
        words = (alias.split() for alias in aliases)
        return {pair[0]: pair[1] for pair in words if len(pair) == 2}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        os.makedirs(os.path.dirname(self._lock), mode=0o700, exist_ok=True)
        with files.locked(self._lock):
            yield


def _link(id: str) -> str:
    return f"ln{id[:12]}"


def _lane(context: Context, options: Options) -> Lane:
    return Lane(context.run_dir, options)


@hookimpl
def cmanager_networks() -> list[Provider]:
    return [Provider("lane", _lane, options=Options)]
