"""The words of `-p` and `--expose`, and how ports are shown."""

from __future__ import annotations

import pytest

from cmanager.cli.output import ports
from cmanager.cli.ports import exposed, published
from cmanager.errors import InvalidError
from cmanager.model import Attachment, Container, PortMapping, Providers, RunRequest, Status


@pytest.mark.parametrize(
    ("text", "mappings"),
    [
        ("80", [("", 0, 80, "tcp")]),
        ("80/udp", [("", 0, 80, "udp")]),
        ("8080:80", [("", 8080, 80, "tcp")]),
        ("8080:80/UDP", [("", 8080, 80, "udp")]),
        (":80", [("", 0, 80, "tcp")]),
        ("0:80", [("", 0, 80, "tcp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", 8080, 80, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", 0, 80, "tcp")]),
        ("80-82", [("", 0, 80, "tcp"), ("", 0, 81, "tcp"), ("", 0, 82, "tcp")]),
        ("8000-8001:80-81/udp", [("", 8000, 80, "udp"), ("", 8001, 81, "udp")]),
        ("8000-8010:80", [("", 8000, 80, "tcp", 8010)]),
        ("[::1]:8080:80", [("::1", 8080, 80, "tcp")]),
        ("[::1]::80", [("::1", 0, 80, "tcp")]),
        ("::1:8080:80", [("::1", 8080, 80, "tcp")]),
        ("1:65535", [("", 1, 65535, "tcp")]),
    ],
)
def test_publish(text: str, mappings: list[tuple[str, int, int, str]]) -> None:
    assert published(text) == tuple(PortMapping(*mapping) for mapping in mappings)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "80:", "a:80", "80/", "80/icmp", "0", "65536", "80-79", "8000-8001:80-82", "-80", "8-", "80 "),
        *("\uff18\uff10", "80/tcp/udp", "[::1]:80", "[::1:8080:80"),
    ],
)
def test_publish_refuses(text: str) -> None:
    with pytest.raises(InvalidError, match="invalid --publish"):
        published(text)


def test_expose() -> None:
    assert exposed("80") == ("80/tcp",)
    assert exposed("80-81/udp") == ("80/udp", "81/udp")
    for wrong in ("", "http", "80:80", "80/x", "0"):
        with pytest.raises(InvalidError, match="invalid --expose"):
            exposed(wrong)


def test_publish_all_leaves_out_what_publish_names() -> None:
    request = RunRequest("x", publish=(PortMapping("", 8080, 80),), expose=("53/udp", "80/tcp"), publish_all=True)
    assert request.ports == (PortMapping("", 8080, 80), PortMapping("", 0, 53, "udp"))
    assert RunRequest("x", expose=("80/tcp",)).ports == ()


def running(*bound: PortMapping, expose: tuple[str, ...] = (), state: str = "running") -> Container:
    request = RunRequest("x", publish=bound, expose=(*expose, *(mapping.exposed for mapping in bound)))
    status = Status(state=state, attachment=Attachment(ports=bound))  # type: ignore[arg-type]
    providers = Providers("i", "s", "n", "l", "r")
    return Container("0" * 64, "box", 0.0, request, "", "", ("true",), providers, status=status)


@pytest.mark.parametrize(
    ("bound", "expose", "text"),
    [
        ([], (), ""),
        ([], ("443/tcp", "444/tcp", "9/udp"), "9/udp, 443-444/tcp"),
        ([("0.0.0.0", 8080, 80)], (), "0.0.0.0:8080->80/tcp"),
        ([("0.0.0.0", 80, 80)], ("443/tcp",), "0.0.0.0:80->80/tcp, 443/tcp"),
        ([("0.0.0.0", 80, 80), ("0.0.0.0", 81, 81)], (), "0.0.0.0:80-81->80-81/tcp"),
        ([("0.0.0.0", 80, 80), ("0.0.0.0", 82, 82)], (), "0.0.0.0:80->80/tcp, 0.0.0.0:82->82/tcp"),
        ([("0.0.0.0", 80, 80), ("127.0.0.1", 81, 81)], (), "0.0.0.0:80->80/tcp, 127.0.0.1:81->81/tcp"),
        ([("0.0.0.0", 90, 80), ("0.0.0.0", 91, 81)], (), "0.0.0.0:90->80/tcp, 0.0.0.0:91->81/tcp"),
        ([("0.0.0.0", 53, 53, "tcp"), ("0.0.0.0", 53, 53, "udp")], (), "0.0.0.0:53->53/tcp, 0.0.0.0:53->53/udp"),
    ],
)
def test_the_ports_column(bound: list[tuple[str, int, int]], expose: tuple[str, ...], text: str) -> None:
    mappings = [PortMapping(*mapping) for mapping in bound]
    assert ports.text(running(*mappings, expose=expose)) == text
    assert ports.text(running(*mappings, expose=expose, state="stopped")) == ""


def test_inspect() -> None:
    box = running(PortMapping("0.0.0.0", 8080, 80), PortMapping("127.0.0.1", 9090, 80), expose=("53/udp",))
    here, there = {"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "9090"}
    assert ports.settings(box) == {"53/udp": None, "80/tcp": [here, there]}
    assert ports.asked(box) == {"80/tcp": [here, there]}
    assert ports.bindings(box) == {"80/tcp": ["0.0.0.0:8080", "127.0.0.1:9090"]}
    free = running(PortMapping("", 0, 80), PortMapping("", 8000, 81, "tcp", 8010))
    assert [bound[0]["HostPort"] for bound in ports.asked(free).values()] == ["", "8000-8010"]
    assert ports.settings(running(PortMapping("", 1, 2), state="stopped")) == {}


@pytest.mark.parametrize(
    ("value", "published", "exposed"),
    [
        ("8080", True, False),
        ("8080/tcp", True, False),
        ("8080/udp", False, False),
        ("8000-9000", True, False),
        ("80", False, True),
        ("80/udp", False, False),
        ("53/udp", False, True),
        ("1-100", False, True),
    ],
)
def test_filters(value: str, published: bool, exposed: bool) -> None:
    box = running(PortMapping("0.0.0.0", 8080, 80), expose=("53/udp",))
    assert ports.publish_filter(value)(box) is published
    assert ports.expose_filter(value)(box) is exposed


def test_filters_refuse() -> None:
    for wrong in ("", "http", "80/icmp", "80-"):
        for make in (ports.publish_filter, ports.expose_filter):
            with pytest.raises(InvalidError, match="invalid --filter"):
                make(wrong)
