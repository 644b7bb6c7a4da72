"""Connection tracking over netlink: forgetting UDP conversations (nfnetlink_conntrack.h).

UDP has no end that the kernel could see: whoever goes on sending keeps the entry of its first packet, and with it the
translation of that time, whatever the rules say now.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Collection, Iterator

_NETLINK_NETFILTER, _CTNETLINK = 12, 1 << 8
_GET, _DELETE = _CTNETLINK | 1, _CTNETLINK | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_TUPLE_ORIG, _TUPLE_PROTO, _PROTO_NUM, _PROTO_DST_PORT = 1, 2, 1, 3
_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)
_UNKNOWN = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.ENOENT)


def forget_udp(ports: Collection[int]) -> None:
    """Forget every IPv4 UDP conversation of this network namespace that was begun to one of these ports.

    A kernel without nf_conntrack_netlink forgets none. Reads all entries there are. Raises OSError.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
        try:
            found = [original for original in _originals(kernel) if _udp_port(original) in ports]
            for original in found:
                size = _HEADER.size + len(_FAMILY) + 4 + len(original)
                attribute = struct.pack("=HH", 4 + len(original), _TUPLE_ORIG | 0x8000) + original
                kernel.send(_HEADER.pack(size, _DELETE, _REQUEST | _ACK, 2, 0) + _FAMILY + attribute)
                number = -struct.unpack_from("=i", kernel.recv(1 << 16), _HEADER.size)[0]
                if number:
                    raise OSError(number, os.strerror(number))
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise


def _originals(kernel: socket.socket) -> Iterator[bytes]:
    """The tuple of each entry's first packet, as attributes."""
    kernel.send(_HEADER.pack(_HEADER.size + len(_FAMILY), _GET, _REQUEST | _DUMP, 1, 0) + _FAMILY)
    while True:
        answer, offset = kernel.recv(1 << 18), 0
        while offset < len(answer):
            size, kind = _HEADER.unpack_from(answer, offset)[:2]
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("=i", answer, offset + _HEADER.size)[0]
                raise OSError(number, os.strerror(number))
            found = _attributes(answer[offset + _HEADER.size + len(_FAMILY) : offset + size])
            if _TUPLE_ORIG in found:
                yield found[_TUPLE_ORIG]
            offset += size + 3 & ~3


def _udp_port(original: bytes) -> int:
    """Where a UDP packet was sent, 0 for other protocols."""
    protocol = _attributes(_attributes(original).get(_TUPLE_PROTO, b""))
    if protocol.get(_PROTO_NUM) != bytes([socket.IPPROTO_UDP]) or _PROTO_DST_PORT not in protocol:
        return 0
    return int.from_bytes(protocol[_PROTO_DST_PORT], "big")


def _attributes(data: bytes) -> dict[int, bytes]:
    found, offset = {}, 0
    while offset + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, offset)
        if size < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + size]
        offset += size + 3 & ~3
    return found
