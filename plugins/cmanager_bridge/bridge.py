"""The bridge itself: made with its rules for the first container, removed after the last."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import struct
from contextlib import suppress

from cmanager.errors import ConflictError, HostError
from cmanager.linux import conntrack, files
from cmanager.linux.rtnetlink import Rtnetlink
from cmanager.model import PortMapping
from cmanager.model.names import ID

from .firewall import Firewall, forwards, set_forwarding

_BEGUN, _READY = "begun", "ready"
_SIOCSIFHWADDR, _ARPHRD_ETHER = 0x8924, 1


class Bridge:
    """A link, its gateway address, its rules, and forwarding where the host had none.

    record: path of a file that says the bridge is ours, whether it is whole, and whether forwarding was on before;
    owner: directory whose identity the bridge carries as its alias, so that it is known when the record was lost.
    What neither claims is another's and stays as it is. Callers hold the pool's lock.
    """

    def __init__(
        self, record: str, owner: str, name: str, network: ipaddress.IPv4Network, mtu: int, firewall: Firewall
    ) -> None:
        self.name = name
        self._record, self._owner, self._network, self._mtu, self._firewall = record, owner, network, mtu, firewall

    def ensure(self, here: Rtnetlink) -> int:
        """Index of the bridge, made when it is missing or was left half made.

        Raises ConflictError when a link of that name is not ours, UnsupportedError, HostError, OSError; `remove` then
        undoes what was made.
        """
        state, forwarding = self._state()
        index = here.index(self.name)
        if index and not state and (not self._marked(here) or self.found(here)):
            raise ConflictError(
                f"link {self.name} is there and was made by somebody else, "
                "set another name in [network.bridge], or remove it if it is left over, see `cmanager gc`"
            )
        if index and state == _READY:
            return index
        forwarding = forwarding or str(int(forwards()))
        files.write_atomic(self._record, f"{_BEGUN} {forwarding}".encode())
        delete(here, self.name)
        index = self._make(here)
        if forwarding == "0":
            set_forwarding(True)
        files.write_atomic(self._record, f"{_READY} {forwarding}".encode())
        return index

    def remove(self, here: Rtnetlink) -> None:
        """Undo `ensure`. Idempotent. Forwarding goes off again if it was off, unless another bridge of ours needs it.

        Raises HostError, UnsupportedError, OSError; calling again finishes the work.
        """
        state, forwarding = self._state()
        if not state and not self._marked(here):
            return
        delete(here, self.name)
        self._firewall.close()
        if forwarding == "0" and self._firewall.alone():
            set_forwarding(False)
        with suppress(FileNotFoundError):
            os.unlink(self._record)

    def publish(self, id: str, address: str, ports: tuple[PortMapping, ...]) -> None:
        """Lead these ports of the host to `address`, all or none. Raises UnsupportedError, HostError."""
        if any(_over_loopback(mapping.host_ip) for mapping in ports):
            self._route_loopback()
        self._firewall.publish(id, address, ports)
        # Whoever sent there before would go on to where the port led then, as long as it sends.
        if udp := {mapping.host_port for mapping in ports if mapping.protocol == "udp"}:
            conntrack.forget_udp(udp)

    def withdraw(self, id: str) -> None:
        """Undo `publish`, whatever is left of it. Grows with the number of published ports of all."""
        self._firewall.withdraw(id)

    def found(self, here: Rtnetlink) -> frozenset[str]:
        """Ids with a link on the bridge or a port in its table, as the kernel knows them; none if it is not ours."""
        if not self._marked(here):
            return frozenset()
        linked = (alias for alias in here.slaves(here.index(self.name)) if ID.fullmatch(alias))
        return frozenset(linked) | self._firewall.publishers()

    def recorded(self) -> bool:
        """Whether the record is there; without it, `found` knows more than the leases do."""
        return bool(self._state()[0])

    def _marked(self, here: Rtnetlink) -> bool:
        alias = here.alias(self.name) if here.index(self.name) else ""
        return bool(alias) and alias == self._mark()

    def _mark(self) -> str:
        try:
            info = os.stat(self._owner)
        except FileNotFoundError:
            return ""
        return f"cmanager {info.st_dev:x}:{info.st_ino:x}"

    def _route_loopback(self) -> None:
        # Or a packet from 127.0.0.1 cannot leave over the bridge, nor its answer come back (ip-sysctl, route_localnet).
        # The table's chain `loopback` keeps the containers away from the host's own.
        path = f"/proc/sys/net/ipv4/conf/{self.name}/route_localnet"
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write("1")
        except OSError as error:
            raise HostError.of("let the loopback reach published ports in", path, error) from None

    def _make(self, here: Rtnetlink) -> int:
        network, gateway = self._network, str(self._network[1])
        # The rules first: there is never a bridge without them.
        self._firewall.open()
        try:
            here.add_bridge(self.name, self._mtu)
            here.set_alias(self.name, self._mark())
            _set_mac(self.name, mac_of(gateway))
            index = here.index(self.name)
            here.add_address(index, gateway, network.prefixlen, str(network.broadcast_address))
        except OSError as error:
            raise HostError.of("make bridge", self.name, error) from None
        return index

    def _state(self) -> tuple[str, str]:
        """("", "") without a record."""
        with suppress(FileNotFoundError), open(self._record, encoding="ascii") as file:
            state, _, forwarding = file.read().partition(" ")
            return state, forwarding
        return "", ""


def delete(here: Rtnetlink, name: str) -> None:
    """Remove a link; one that is gone is success."""
    try:
        here.delete(name)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise HostError.of("remove link", name, error) from None


def _over_loopback(address: str) -> bool:
    parsed = ipaddress.IPv4Address(address)
    return parsed.is_loopback or parsed.is_unspecified


def mac_of(address: str) -> str:
    """Docker's scheme: the address in a locally administered MAC, so that caches stay right when it is leased again."""
    return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def _set_mac(name: str, mac: str) -> None:
    # Left alone a bridge takes the lowest MAC of its ports, and changes it under its neighbours' caches as they come
    # and go (br_stp_recalculate_bridge_id); one that was set stays (netdevice(7)).
    request = struct.pack("16sH6s8x", name.encode(), _ARPHRD_ETHER, bytes.fromhex(mac.replace(":", "")))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as handle:
        fcntl.ioctl(handle, _SIOCSIFHWADDR, request)
