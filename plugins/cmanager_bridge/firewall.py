"""The bridge's nftables table: NAT to the outside, published ports, and no other way in (nft(8))."""

from __future__ import annotations

import errno
import os
import subprocess

from cmanager.errors import HostError, UnsupportedError
from cmanager.model import PortMapping

_FORWARD = "/proc/sys/net/ipv4/ip_forward"
_PREFIX = "cmanager_"
_ANYWHERE, _BOUND = "anywhere", "bound"


class _MissingError(UnsupportedError):
    """There is no such table."""


class Firewall:
    """One table, named after the bridge; it holds all rules there are, and goes as a whole.

    A published port is one element in one of two maps, `anywhere` for those on all addresses of the host and `bound`
    for those on one, with the container's id as its comment. However many there are, a packet costs two look-ups, and
    only the first of a connection.
    """

    def __init__(self, bridge: str, subnet: str) -> None:
        self._bridge, self._subnet = bridge, subnet
        self._table = f"ip {_PREFIX}{bridge}"

    def open(self) -> None:
        """Install the rules in one transaction, in place of older ones.

        Raises UnsupportedError, naming the package when nft is missing; then nothing has changed.
        """
        bridge, subnet = self._bridge, self._subnet
        script = f"""
            add table {self._table}
            delete table {self._table}
            table {self._table} {{
                map {_ANYWHERE} {{
                    type inet_proto . inet_service : ipv4_addr . inet_service
                }}
                map {_BOUND} {{
                    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
                }}
                chain loopback {{
                    type filter hook prerouting priority raw; policy accept;
                    iifname "{bridge}" ip daddr 127.0.0.0/8 drop
                    iifname "{bridge}" ip saddr 127.0.0.0/8 drop
                }}
                chain published {{
                    meta l4proto {{ tcp, udp }} dnat ip to ip daddr . meta l4proto . th dport map @{_BOUND}
                    meta l4proto {{ tcp, udp }} dnat ip to meta l4proto . th dport map @{_ANYWHERE}
                }}
                chain prerouting {{
                    type nat hook prerouting priority dstnat; policy accept;
                    ip daddr != 127.0.0.0/8 fib daddr type local jump published
                }}
                chain output {{
                    type nat hook output priority -100; policy accept;
                    fib daddr type local jump published
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat; policy accept;
                    ip saddr {subnet} oifname != "{bridge}" masquerade
                    ip saddr {subnet} ip daddr {subnet} oifname "{bridge}" ct status dnat masquerade
                    ip saddr 127.0.0.0/8 oifname "{bridge}" masquerade
                }}
                chain forward {{
                    type filter hook forward priority filter; policy accept;
                    oifname "{bridge}" iifname != "{bridge}" ct state established,related accept
                    oifname "{bridge}" iifname != "{bridge}" ct status dnat accept
                    oifname "{bridge}" iifname != "{bridge}" drop
                }}
            }}
            """
        try:
            _nft(script, "-f", "-")
        except FileNotFoundError:
            raise UnsupportedError(
                "network bridge needs the program nft, install the package nftables or use --network none"
            ) from None

    def close(self) -> None:
        """Remove the table; what is gone, or was never possible without nft, is success."""
        try:
            _nft(f"add table {self._table}\ndelete table {self._table}", "-f", "-")
        except FileNotFoundError:
            return

    def publish(self, id: str, address: str, ports: tuple[PortMapping, ...]) -> None:
        """Add an element for each port, in one transaction. Raises UnsupportedError."""
        lines = [
            f'add element {self._table} {_key(p)} comment "{id}" : {address} . {p.container_port} }}' for p in ports
        ]
        _nft("\n".join(lines), "-f", "-")

    def withdraw(self, id: str) -> None:
        """Remove every element of container `id`; none, and no table, is success. Reads all elements there are."""
        keys = [key for owner, key in self._elements() if owner == id]
        if keys:
            _nft("\n".join(f"delete element {self._table} {key} }}" for key in keys), "-f", "-")

    def publishers(self) -> frozenset[str]:
        """Ids of the containers that have elements."""
        return frozenset(owner for owner, _ in self._elements())

    def _elements(self) -> list[tuple[str, str]]:
        """Comment and key of each, the key as `_key` writes it."""
        import json

        try:
            said = json.loads(_nft("", "-j", "list", "table", *self._table.split()))
        except (FileNotFoundError, _MissingError):
            return []
        found = []
        for entry in said["nftables"]:
            for element in entry.get("map", {}).get("elem", ()):
                facts = element[0].get("elem", {})
                if "comment" in facts:
                    key = " . ".join(map(str, facts["val"]["concat"]))
                    found.append((str(facts["comment"]), f"{entry['map']['name']} {{ {key}"))
        return found

    def alone(self) -> bool:
        """Whether no other bridge of a cmanager has its rules here."""
        try:
            tables = _nft("", "list", "tables", "ip").split("\n")
        except FileNotFoundError:
            return True
        return not any(line.startswith(f"table ip {_PREFIX}") and line != f"table {self._table}" for line in tables)


def forwards() -> bool:
    """Whether the kernel forwards IPv4 packets between links, in this network namespace."""
    try:
        with open(_FORWARD, encoding="ascii") as file:
            return file.read().strip() != "0"
    except OSError as error:
        raise HostError.of("read", _FORWARD, error) from None


def set_forwarding(on: bool) -> None:
    """Turn that on or off."""
    try:
        # A file of its own for the write: at an offset other than 0 it is ignored (sysctl_writes_strict).
        with open(_FORWARD, "w", encoding="ascii") as file:
            file.write("1" if on else "0")
    except OSError as error:
        raise HostError.of(f"turn {'on' if on else 'off'} forwarding in", _FORWARD, error) from None


def _key(mapping: PortMapping) -> str:
    """Map and key of a port's element, for `add element` and `delete element`."""
    port = f"{mapping.protocol} . {mapping.host_port}"
    return f"{_ANYWHERE} {{ {port}" if mapping.host_ip == "0.0.0.0" else f"{_BOUND} {{ {mapping.host_ip} . {port}"


def _nft(script: str, *arguments: str) -> str:
    done = subprocess.run(["nft", *arguments], input=script.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        if said and said[0].endswith(f": {os.strerror(errno.ENOENT)}"):
            raise _MissingError("the table of network bridge is gone, another program may have flushed it")
        raise UnsupportedError(f"nft refused the rules of network bridge: {said[0] if said else 'no reason given'}")
    return done.stdout.decode("utf-8", "replace")
