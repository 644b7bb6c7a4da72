"""The bridge's nftables table: NAT to the outside, and no way in that the container did not begin (nft(8))."""

from __future__ import annotations

import subprocess

from cmanager.errors import HostError, UnsupportedError

_FORWARD = "/proc/sys/net/ipv4/ip_forward"
_PREFIX = "cmanager_"


class Firewall:
    """One table, named after the bridge; it holds all rules there are, and goes as a whole."""

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


def _nft(script: str, *arguments: str) -> str:
    done = subprocess.run(["nft", *arguments], input=script.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UnsupportedError(f"nft refused the rules of network bridge: {said[0] if said else 'no reason given'}")
    return done.stdout.decode("utf-8", "replace")
