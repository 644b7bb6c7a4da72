"""`-p` and `--expose` in Docker's grammar, with ranges."""

from __future__ import annotations

from ..errors import InvalidError
from ..model.network import PROTOCOLS, PortMapping, parse_exposed, parse_ports


def published(text: str) -> tuple[PortMapping, ...]:
    """`-p [[IP:][HOST]:]PORT[/PROTOCOL]`; HOST and PORT may be ranges of one length, or HOST alone for any of it.

    InvalidError names the flag and what is wrong.
    """
    try:
        rest, slash, protocol = text.partition("/")
        protocol = protocol.lower() if slash else "tcp"
        if protocol not in PROTOCOLS:
            raise InvalidError(f"unknown protocol {protocol!r}, expected {', '.join(PROTOCOLS)}")
        ip, host, port = _split(rest)
        inside = parse_ports(port)
        if not host:
            return tuple(PortMapping(ip, 0, number, protocol) for number in inside)
        outside = range(1) if host == "0" else parse_ports(host)
        if len(outside) == len(inside):
            return tuple(PortMapping(ip, ours, theirs, protocol) for ours, theirs in zip(outside, inside, strict=True))
        if len(inside) == 1:
            return (PortMapping(ip, outside[0], inside[0], protocol, outside[-1]),)
        raise InvalidError(f"{len(outside)} ports of the host cannot answer for {len(inside)} of the container")
    except InvalidError as error:
        raise InvalidError(f"invalid --publish {text[:100]!r}: {error}") from None


def exposed(text: str) -> tuple[str, ...]:
    """`--expose PORT[-PORT][/PROTOCOL]` as "80/tcp" strings."""
    try:
        return parse_exposed(text)
    except InvalidError as error:
        raise InvalidError(f"invalid --expose {text[:100]!r}: {error}") from None


def _split(text: str) -> tuple[str, str, str]:
    """Address, host port and container port, "" for what is not there. An IPv6 address may go without brackets."""
    rest, _, port = text.rpartition(":")
    ip, _, host = rest.rpartition(":")
    if ip.startswith("[") and ip.endswith("]"):
        ip = ip[1:-1]
    elif "[" in ip or "]" in ip:
        raise InvalidError("write an IPv6 address as [ADDRESS]:HOST:PORT")
    return ip, host, port
