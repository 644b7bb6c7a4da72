"""The network seam on a Linux bridge (bridge(8), veth(4))."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from cmanager.errors import CmanagerError, ExhaustedError, HostError
from cmanager.linux.netns import entered
from cmanager.linux.rtnetlink import LOOPBACK, Rtnetlink
from cmanager.model import Attachment, Endpoint

from .firewall import Firewall
from .pool import Pool

_INTERFACE, _INDEX = "eth0", 2
_MOST_PORTS = 1023  # BR_MAX_PORTS, without port 0


class BridgeNetwork:
    """Containers on one bridge. It and its rules come with the first container and go with the last."""

    isolated = True

    def __init__(self, pool: Pool, firewall: Firewall, bridge: str, mtu: int, dns: tuple[str, ...]) -> None:
        self._pool, self._firewall = pool, firewall
        self._bridge, self._mtu, self._dns = bridge, mtu, dns

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        """See `cmanager.seams.Network.attach`."""
        pool = self._pool
        with pool.locked():
            try:
                address = pool.lease(id, endpoint.address)
                mac = endpoint.mac or _mac(address)
                with Rtnetlink() as here:
                    self._plug(here, id, netns, mac)
            except BaseException:
                self._unplug(id)
                raise
        try:
            self._configure(netns, address)
        except OSError as error:
            with suppress(CmanagerError):
                self.detach(id, netns)
            raise HostError.of("configure the network of", netns, error) from None
        prefix = pool.network.prefixlen
        return Attachment(
            interface=_INTERFACE,
            addresses=(f"{address}/{prefix}",),
            routes=(("0.0.0.0/0", pool.gateway),),
            mac=mac,
            gateway=pool.gateway,
            dns=self._dns,
        )

    def detach(self, id: str, netns: str) -> None:
        """See `cmanager.seams.Network.detach`."""
        with self._pool.locked():
            self._unplug(id)

    def owned(self) -> frozenset[str]:
        """See `cmanager.seams.Network.owned`."""
        return self._pool.holders()

    def _plug(self, here: Rtnetlink, id: str, netns: str, mac: str) -> None:
        bridge = here.index(self._bridge) or self._build(here)
        try:
            there = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HostError.of("open network namespace", netns, error) from None
        try:
            here.add_veth(_link(id), bridge, id, _INTERFACE, _INDEX, mac, there, self._mtu)
        except OSError as error:
            if error.errno == errno.EXFULL:
                raise ExhaustedError(
                    f"bridge {self._bridge} has all its {_MOST_PORTS} ports in use, remove containers"
                ) from None
            raise HostError.of("make a link for", id[:12], error) from None
        finally:
            os.close(there)

    def _build(self, here: Rtnetlink) -> int:
        """The bridge with its rules and its gateway address; returns its index."""
        network = self._pool.network
        # The rules first: there is never a bridge without them.
        self._firewall.open()
        try:
            here.add_bridge(self._bridge, self._mtu)
            index = here.index(self._bridge)
            here.add_address(index, self._pool.gateway, network.prefixlen, str(network.broadcast_address))
        except OSError as error:
            raise HostError.of("make bridge", self._bridge, error) from None
        return index

    def _configure(self, netns: str, address: str) -> None:
        network = self._pool.network
        with entered(netns):
            there = Rtnetlink()
        with there:
            there.up(LOOPBACK)
            there.up(_INDEX)
            there.add_address(_INDEX, address, network.prefixlen, str(network.broadcast_address))
            there.add_default_route(self._pool.gateway, _INDEX)

    def _unplug(self, id: str) -> None:
        with Rtnetlink() as here:
            _delete(here, _link(id))
            self._pool.release(id)
            if not self._pool.holders():
                _delete(here, self._bridge)
                self._firewall.close()


def _delete(here: Rtnetlink, name: str) -> None:
    try:
        here.delete(name)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise HostError.of("remove link", name, error) from None


def _link(id: str) -> str:
    """The host's end: 15 characters are all a link's name may have (IFNAMSIZ)."""
    return f"cm{id[:13]}"


def _mac(address: str) -> str:
    """Docker's scheme: the address in a locally administered MAC, so that caches stay right when it is leased again."""
    return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))
