"""Links, addresses and routes over rtnetlink(7): the few requests that connecting a container takes.

Written by hand because a start pays for it: loading a general netlink library takes longer than everything else that a
container needs. Numbers are those of include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h and veth.h.
"""

from __future__ import annotations

import os
import socket
import struct
from types import TracebackType
from typing import Final

_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _NEWROUTE = 16, 17, 18, 20, 24
_REQUEST, _ACK, _DUMP, _CREATE, _EXCL = 0x1, 0x4, 0x300, 0x400, 0x200
_ERROR, _DONE = 2, 3
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 10, 18
_IFLA_IFALIAS, _IFLA_NET_NS_FD = 20, 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA, _VETH_PEER = 1, 2, 4, 5, 1
_BRPORT_MODE = 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_OIF, _RTA_GATEWAY = 4, 5
_MAIN_TABLE, _STATIC, _UNICAST = 254, 4, 1
_UP: Final = 1
_HEADER = struct.Struct("IHHII")
_LINK = struct.Struct("BBHiII")

#: Index of the loopback in every network namespace.
LOOPBACK: Final = 1


class Rtnetlink:
    """A socket into the network namespace that the caller is in when it is made, where it stays.

    A context manager; every method raises OSError with the kernel's errno, and the name in question.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sequence = 0

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def index(self, name: str) -> int:
        """The number of a link, 0 when there is none of that name."""
        try:
            answer = self.ask(_GETLINK, 0, link_header() + string(_IFLA_IFNAME, name), name)
        except OSError as error:
            if error.errno == 19:  # ENODEV
                return 0
            raise
        return int(_LINK.unpack_from(answer)[3])

    def alias(self, name: str) -> str:
        """What `set_alias` wrote, "" where nobody did."""
        answer = self.ask(_GETLINK, 0, link_header() + string(_IFLA_IFNAME, name), name)
        return _alias(dict(_attributes(answer[_LINK.size :])))

    def set_alias(self, name: str, alias: str) -> None:
        """Write a text of at most 255 bytes on a link (ifalias). A request of its own: when a link is made the kernel
        ignores it (rtnl_create_link)."""
        self.ask(
            _NEWLINK, 0, link_header() + string(_IFLA_IFNAME, name) + attribute(_IFLA_IFALIAS, alias.encode()), name
        )

    def hairpin(self, name: str) -> None:
        """Let the bridge send back through this port what came in by it."""
        data = string(_INFO_SLAVE_KIND, "bridge") + nest(_INFO_SLAVE_DATA, attribute(_BRPORT_MODE, b"\1"))
        self.ask(_NEWLINK, 0, link_header() + string(_IFLA_IFNAME, name) + nest(_IFLA_LINKINFO, data), name)

    def slaves(self, master: int) -> tuple[str, ...]:
        """Aliases of the links on the bridge with index `master`; grows with the number of links."""
        found = (dict(_attributes(message[_LINK.size :])) for message in self._dump(_GETLINK, link_header()))
        wanted = struct.pack("I", master)
        return tuple(_alias(attributes) for attributes in found if attributes.get(_IFLA_MASTER) == wanted)

    def add_bridge(self, name: str, mtu: int = 0) -> None:
        """A bridge, up."""
        size = u32(_IFLA_MTU, mtu) if mtu else b""
        payload = (
            link_header(flags=_UP)
            + string(_IFLA_IFNAME, name)
            + size
            + nest(_IFLA_LINKINFO, string(_INFO_KIND, "bridge"))
        )
        self.ask(_NEWLINK, _CREATE | _EXCL, payload, name)

    def add_veth(
        self, name: str, master: int, peer: str, peer_index: int, peer_mac: str, netns: int, mtu: int = 0
    ) -> None:
        """A veth pair: `name` here, up, on the bridge with index `master`; `peer` in the namespace behind `netns`.

        netns: a descriptor. The peer is down: it cannot come up before its other end exists (veth.c, ENOTCONN).
        """
        size = u32(_IFLA_MTU, mtu) if mtu else b""
        other = link_header(index=peer_index) + string(_IFLA_IFNAME, peer) + size
        other += attribute(_IFLA_ADDRESS, bytes.fromhex(peer_mac.replace(":", ""))) + u32(_IFLA_NET_NS_FD, netns)
        info = string(_INFO_KIND, "veth") + nest(_INFO_DATA, attribute(_VETH_PEER, other))
        payload = link_header(flags=_UP) + string(_IFLA_IFNAME, name) + size + u32(_IFLA_MASTER, master)
        payload += nest(_IFLA_LINKINFO, info)
        self.ask(_NEWLINK, _CREATE | _EXCL, payload, name)

    def up(self, index: int) -> None:
        """Bring a link up."""
        self.ask(_NEWLINK, 0, link_header(index=index, flags=_UP), f"link {index}")

    def delete(self, name: str) -> None:
        """Remove a link; FileNotFoundError does not exist here: one that is gone is ENODEV."""
        self.ask(_DELLINK, 0, link_header() + string(_IFLA_IFNAME, name), name)

    def add_address(self, index: int, address: str, prefix: int, broadcast: str) -> None:
        """An IPv4 address of a link."""
        packed = socket.inet_aton(address)
        payload = struct.pack("BBBBI", socket.AF_INET, prefix, 0, 0, index)
        payload += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        payload += attribute(_IFA_BROADCAST, socket.inet_aton(broadcast))
        self.ask(_NEWADDR, _CREATE | _EXCL, payload, address)

    def add_default_route(self, gateway: str, index: int) -> None:
        """The default route of IPv4."""
        payload = struct.pack("BBBBBBBBI", socket.AF_INET, 0, 0, 0, _MAIN_TABLE, _STATIC, 0, _UNICAST, 0)
        payload += attribute(_RTA_GATEWAY, socket.inet_aton(gateway)) + u32(_RTA_OIF, index)
        self.ask(_NEWROUTE, _CREATE | _EXCL, payload, gateway)

    def _send(self, kind: int, flags: int, payload: bytes) -> None:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(payload), kind, flags | _REQUEST, self._sequence, 0)
        self._socket.sendto(header + payload, (0, 0))

    def ask(self, kind: int, flags: int, payload: bytes, what: str) -> bytes:
        """One request and its answer; b"" where that is a mere acknowledgement."""
        self._send(kind, flags | (0 if kind == _GETLINK else _ACK), payload)
        answer = self._socket.recv(1 << 16)
        size, answered, _, _, _ = _HEADER.unpack_from(answer)
        if answered != _ERROR:
            return answer[_HEADER.size : size]
        (number,) = struct.unpack_from("i", answer, _HEADER.size)
        if number:
            raise OSError(-number, os.strerror(-number), what)
        return b""

    def _dump(self, kind: int, payload: bytes) -> list[bytes]:
        self._send(kind, _DUMP, payload)
        found: list[bytes] = []
        while True:
            answer, offset = self._socket.recv(1 << 18), 0
            while offset < len(answer):
                size, answered, _, _, _ = _HEADER.unpack_from(answer, offset)
                if answered == _DONE:
                    return found
                if answered == _ERROR:
                    (number,) = struct.unpack_from("i", answer, offset + _HEADER.size)
                    raise OSError(-number, os.strerror(-number))
                found.append(answer[offset + _HEADER.size : offset + size])
                offset += size + 3 & ~3


def link_header(index: int = 0, flags: int = 0) -> bytes:
    """The header of a request about a link (rtnetlink(7), struct ifinfomsg)."""
    return _LINK.pack(socket.AF_UNSPEC, 0, 0, index, flags, flags)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    size = 4 + len(value)
    return struct.pack("HH", size, kind) + value + bytes(-size % 4)


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found, offset = [], 0
    while offset + 4 <= len(data):
        size, kind = struct.unpack_from("HH", data, offset)
        if size < 4:
            break
        found.append((kind & 0x3FFF, data[offset + 4 : offset + size]))
        offset += size + 3 & ~3
    return found


def _alias(attributes: dict[int, bytes]) -> str:
    return attributes.get(_IFLA_IFALIAS, b"").rstrip(b"\0").decode("utf-8", "replace")


def u32(kind: int, value: int) -> bytes:
    """An attribute that is a number of 32 bits."""
    return attribute(kind, struct.pack("I", value))


def string(kind: int, value: str) -> bytes:
    """An attribute that is a text."""
    return attribute(kind, value.encode() + b"\0")


def nest(kind: int, content: bytes) -> bytes:
    """An attribute that has attributes."""
    return attribute(kind | 0x8000, content)
