"""The bridge's nftables table: NAT to the outside, and no way in that the container did not begin (nft(8))."""

from __future__ import annotations

import subprocess

from cmanager.errors import HostError, UnsupportedError

_FORWARD = "/proc/sys/net/ipv4/ip_forward"


class Firewall:
    """One table, named after the bridge; it holds all rules there are, and goes as a whole."""

    def __init__(self, bridge: str, subnet: str) -> None:
        self._bridge, self._subnet = bridge, subnet
        self._table = f"ip cmanager_{bridge}"

    def open(self) -> None:
        """Install the rules in one transaction, in place of older ones, and let the kernel forward."""
        bridge, subnet = self._bridge, self._subnet
        _nft(
            f"""
            add table {self._table}
            delete table {self._table}
            table {self._table} {{
                chain postrouting {{
                    type nat hook postrouting priority srcnat; policy accept;
                    ip saddr {subnet} oifname != "{bridge}" masquerade
                }}
                chain forward {{
                    type filter hook forward priority filter; policy accept;
                    oifname "{bridge}" iifname != "{bridge}" ct state established,related accept
                    oifname "{bridge}" iifname != "{bridge}" ct status dnat accept
                    oifname "{bridge}" iifname != "{bridge}" drop
                }}
            }}
            """
        )
        try:
            with open(_FORWARD, "r+", encoding="ascii") as file:
                if file.read().strip() == "0":
                    file.write("1")
        except OSError as error:
            raise HostError.of("turn on forwarding in", _FORWARD, error) from None

    def close(self) -> None:
        """Remove the table; what is gone is success."""
        _nft(f"add table {self._table}\ndelete table {self._table}")


def _nft(script: str) -> None:
    try:
        done = subprocess.run(["nft", "-f", "-"], input=script.encode(), capture_output=True, check=False)
    except FileNotFoundError:
        raise UnsupportedError(
            "network bridge needs the program nft, install the package nftables or use --network none"
        ) from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UnsupportedError(f"nft refused the rules of network bridge: {said[0] if said else 'no reason given'}")
