"""Published and exposed ports as lists show them, as `inspect` has them, and as filters find them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...errors import InvalidError
from ...model import Container, PortMapping
from ...model.glimpse import Shown
from ...model.network import PROTOCOLS, parse_ports
from . import filters

#: Private port, address, public port, protocol; "" and 0 where a port is exposed and not published.
_Port = tuple[int, str, int, str]


def bindings(container: Container) -> dict[str, list[str]]:
    """Where each published port is: "80/tcp" to "0.0.0.0:8080", sorted by number. Empty when it does not run."""
    found: dict[str, list[str]] = {}
    for mapping in sorted(_published(container), key=lambda m: (m.container_port, m.protocol, m.host_ip, m.host_port)):
        found.setdefault(mapping.exposed, []).append(mapping.binding)
    return found


def text(container: Shown) -> str:
    """The PORTS column: "0.0.0.0:8080->80/tcp, 443/tcp". Neighbours that keep their number are one range, as in
    Docker; empty when it does not run."""
    return _text(_all(container))


def published_text(published: Iterable[PortMapping]) -> str:
    """The same for what a pod publishes."""
    return _text([_port(mapping) for mapping in published])


def _text(ports: list[_Port]) -> str:
    groups: list[list[_Port]] = []
    last: dict[tuple[str, str], list[_Port]] = {}
    moved = []
    for port in sorted(ports):
        number, ip, public, protocol = port
        if public not in (0, number):
            moved.append(f"{ip}:{public}->{number}/{protocol}")
            continue
        group = last.get((ip, protocol), [])
        if group and group[-1][0] + 1 == number:
            group.append(port)
        else:
            last[ip, protocol] = [port]
            groups.append(last[ip, protocol])
    return ", ".join([*map(_group, groups), *moved])


def settings(container: Container) -> dict[str, Any]:
    """NetworkSettings.Ports of `inspect`: None for what is exposed and not published."""
    if container.status.state not in ("running", "paused"):
        return {}
    return dict.fromkeys(container.request.expose) | published_settings(_published(container))


def published_settings(published: Iterable[PortMapping]) -> dict[str, Any]:
    """The same for what a pod publishes."""
    found: dict[str, Any] = {}
    for mapping in published:
        found.setdefault(mapping.exposed, []).append(_binding(mapping, str(mapping.host_port)))
    return found


def asked(container: Container) -> dict[str, Any]:
    """HostConfig.PortBindings of `inspect`: what -p asked for, with "" for any port, or a range."""
    return wanted_bindings(container.request.publish)


def wanted_bindings(publish: Iterable[PortMapping]) -> dict[str, Any]:
    """The same for what a pod asks for."""
    found: dict[str, Any] = {}
    for mapping in publish:
        ports = f"{mapping.host_port}-{mapping.host_last}" if mapping.host_last else str(mapping.host_port or "")
        found.setdefault(mapping.exposed, []).append(_binding(mapping, ports))
    return found


def publish_filter(value: str) -> filters.Test[Container]:
    """`publish=PORT[-PORT][/PROTOCOL]`: a port of the host."""
    ports, protocol = _wanted("publish", value)
    return lambda c: any(m.host_port in ports and m.protocol == protocol for m in _published(c))


def expose_filter(value: str) -> filters.Test[Container]:
    """`expose=PORT[-PORT][/PROTOCOL]`: a port of the container, published or not."""
    ports, protocol = _wanted("expose", value)
    wanted = {f"{port}/{protocol}" for port in ports}
    return lambda c: not wanted.isdisjoint(c.request.expose)


def _published(container: Shown) -> tuple[PortMapping, ...]:
    running = container.status.state in ("running", "paused")
    return container.status.attachment.ports if running and container.status.attachment else ()


def _all(container: Shown) -> list[_Port]:
    if container.status.state not in ("running", "paused"):
        return []
    published = _published(container)
    named = {mapping.exposed for mapping in published}
    bare = [text.partition("/") for text in container.request.expose if text not in named]
    return [
        *map(_port, published),
        *((int(number), "", 0, protocol) for number, _, protocol in bare),
    ]


def _port(mapping: PortMapping) -> _Port:
    return mapping.container_port, mapping.host_ip, mapping.host_port, mapping.protocol


def _group(ports: list[_Port]) -> str:
    (first, ip, _, protocol), last = ports[0], ports[-1][0]
    numbers = f"{first}-{last}" if last > first else f"{first}"
    return f"{ip}:{numbers}->{numbers}/{protocol}" if ip else f"{numbers}/{protocol}"


def _binding(mapping: PortMapping, port: str) -> dict[str, str]:
    return {"HostIp": mapping.host_ip, "HostPort": port}


def _wanted(key: str, value: str) -> tuple[range, str]:
    ports, slash, protocol = value.partition("/")
    try:
        if slash and protocol not in PROTOCOLS:
            raise InvalidError(f"unknown protocol {protocol!r}, expected {', '.join(PROTOCOLS)}")
        return parse_ports(ports), protocol or "tcp"
    except InvalidError as error:
        raise InvalidError(f"invalid --filter '{key}={value}': {error}") from None
