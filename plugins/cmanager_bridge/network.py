"""The network seam on a Linux bridge (bridge(8), veth(4))."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cmanager.errors import CmanagerError, ExhaustedError, HostError, InvalidError, NotFoundError, UnsupportedError
from cmanager.linux import shaping
from cmanager.linux.netns import entered
from cmanager.linux.rtnetlink import LOOPBACK, Rtnetlink
from cmanager.model import Attachment, Endpoint, PortMapping, Rate

from .bridge import Bridge, delete, mac_of
from .pool import Pool
from .ports import Ports

_INTERFACE = "eth0"
_PATIENCE = 0.5  # seconds
_MOST_PORTS = 1023  # BR_MAX_PORTS, without port 0
_LEAST_RATE, _MOST_RATE = 1000, 10**12  # bytes a second
_UNICAST_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")


class BridgeNetwork:
    """Containers on one bridge. It and its rules come with the first container and go with the last."""

    isolated = True
    ahead = True

    def __init__(self, pool: Pool, ports: Ports, bridge: Bridge, mtu: int, dns: tuple[str, ...]) -> None:
        self._pool, self._ports, self._bridge, self._mtu, self._dns = pool, ports, bridge, mtu, dns

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        """See `cmanager.seams.Network.attach`."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._attach(id, netns, endpoint)
            except ExhaustedError:
                # A container that has ended gives its link back a moment later.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        pool, wanted = self._pool, endpoint.mac.lower()
        _check_mac(wanted)
        with _told("attach to network", self._bridge.name), pool.locked():
            address = pool.lease(id, endpoint.address)
            mac = wanted or mac_of(address)
            try:
                bound = self._ports.take(id, endpoint.ports)
                self._plug(id, netns, mac, bool(bound))
                self._configure(netns, address)
                if bound:
                    self._bridge.publish(id, address, bound)
            except BaseException:
                # What cannot be undone keeps its lease, so `owned` tells of it.
                with suppress(CmanagerError, OSError):
                    self._unplug(id)
                    self._release(id)
                raise
        return Attachment(
            interface=_INTERFACE,
            addresses=(f"{address}/{pool.network.prefixlen}",),
            routes=(("0.0.0.0/0", pool.gateway),),
            mac=mac,
            gateway=pool.gateway,
            dns=self._dns,
            ports=bound,
        )

    def check_address(self, address: str, mac: str, *, now: bool) -> None:
        """See `cmanager.seams.Assign.check_address`."""
        _check_mac(mac.lower())
        if address:
            with _told("look for an address of network", self._bridge.name):
                self._pool.check(address, now=now)

    def check_ports(self, ports: tuple[PortMapping, ...], *, now: bool) -> None:
        """See `cmanager.seams.Publish.check_ports`."""
        with _told("look for ports of network", self._bridge.name):
            self._ports.check(ports, now=now)

    def check_rate(self, rate: Rate) -> None:
        """See `cmanager.seams.Shape.check_rate`."""
        for way, speed in (("receive", rate.receive), ("send", rate.send)):
            if speed and not _LEAST_RATE <= speed < _MOST_RATE:
                raise InvalidError(f"invalid --network-rate {way}={speed}, expected {_LEAST_RATE} to {_MOST_RATE - 1}")
        try:
            shaping.probe()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                raise UnsupportedError(
                    f"--network-rate: network {self._bridge.name} needs tbf, ifb, u32 and mirred, this kernel has no "
                    f"{error.filename}"
                ) from None
            raise HostError.of("try to bound a link", str(error.filename), error) from None

    def shape(self, id: str, rate: Rate) -> None:
        """See `cmanager.seams.Shape.shape`."""
        try:
            with Rtnetlink() as here:
                # What this end sends is what the container receives.
                shaping.shape(here, _name(id), _helper(id), rate.receive, rate.send)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise NotFoundError(
                    f"container {id[:12]} has no link on {self._bridge.name}, it does not run"
                ) from None
            raise HostError.of("bound the link of", id[:12], error) from None

    def detach(self, id: str, netns: str) -> None:
        """See `cmanager.seams.Network.detach`."""
        with _told("detach from network", self._bridge.name):
            # Outside of the lock: the kernel waits for all its processors while it removes a link.
            self._unplug(id)
            with self._pool.locked():
                self._release(id)

    def owned(self) -> frozenset[str]:
        """See `cmanager.seams.Network.owned`."""
        with _told("list network", self._bridge.name), Rtnetlink() as here:
            return self._pool.holders() | self._bridge.found(here)

    def _plug(self, id: str, netns: str, mac: str, published: bool) -> None:
        with Rtnetlink() as here:
            try:
                there = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise HostError.of("open network namespace", netns, error) from None
            try:
                bridge = self._bridge.ensure(here)
                self._link(here, bridge, id, mac, there)
                if published:
                    # Where br_netfilter is loaded, what a container sends to its own published port never leaves
                    # the bridge (br_nf_pre_routing_finish).
                    here.hairpin(_name(id))
            finally:
                os.close(there)

    def _link(self, here: Rtnetlink, bridge: int, id: str, mac: str, there: int) -> None:
        try:
            here.add_veth(_name(id), bridge, _INTERFACE, 0, mac, there, self._mtu)
            here.set_alias(_name(id), id)
        except OSError as error:
            if error.errno == errno.EXFULL:
                raise ExhaustedError(
                    f"bridge {self._bridge.name} has all its {_MOST_PORTS} ports in use, remove containers"
                ) from None
            raise HostError.of("make a link for", id[:12], error) from None

    def _configure(self, netns: str, address: str) -> None:
        network = self._pool.network
        try:
            with entered(netns):
                there = Rtnetlink()
            with there:
                # Asked for, as the kernel chooses: a host with tunnel modules has their links in every namespace.
                index = there.index(_INTERFACE)
                there.up(LOOPBACK)
                there.up(index)
                there.add_address(index, address, network.prefixlen, str(network.broadcast_address))
                there.add_default_route(self._pool.gateway, index)
        except OSError as error:
            raise HostError.of("configure the network of", netns, error) from None

    def _unplug(self, id: str) -> None:
        with Rtnetlink() as here:
            delete(here, _name(id))
            delete(here, _helper(id))

    def _release(self, id: str) -> None:
        """With the last lease the bridge, then the lease: who dies in between is still `owned`. Under the lock."""
        holders = self._pool.holders()
        with Rtnetlink() as here:
            if not self._bridge.recorded():
                holders |= self._bridge.found(here)
            if holders <= {id}:
                self._bridge.remove(here)
            elif id not in self._pool.holders() or self._ports.held(id):
                self._bridge.withdraw(id)
        self._ports.release(id)
        self._pool.release(id)


def _check_mac(mac: str) -> None:
    if mac and not _UNICAST_MAC.fullmatch(mac):
        raise InvalidError(f"{mac!r} is no MAC of a container, write it like 02:42:0a:58:00:02")


@contextmanager
def _told(doing: str, name: str) -> Iterator[None]:
    """An OSError in here is told as a HostError."""
    try:
        yield
    except OSError as error:
        raise HostError.of(doing, name, error) from None


def _name(id: str) -> str:
    """The host's end: 15 characters are all a link's name may have (IFNAMSIZ)."""
    return f"cm{id[:13]}"


def _helper(id: str) -> str:
    """The link that holds back what the container sends, where that is bounded."""
    return f"ci{id[:13]}"
