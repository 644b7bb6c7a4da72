"""The conformance suite of networks that publish ports (`cmanager.seams.Publish`).

    class TestMine(PublishSuite):
        provider = "mine"

`another_host` is a machine beside the host, in a namespace of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from ..errors import ConflictError, InvalidError, UnsupportedError
from ..linux import netns, sockets
from ..model.network import Endpoint, PortMapping
from ..seams import Network, Publish
from .network import ENDPOINT, Box, OnHost, address_of, at_once, reach, traces, within

#: The host's address on the link to `another_host`, and that one's.
HOST, BESIDE = "192.0.2.1", "192.0.2.2"
_REFUSED = 0.5  # seconds without an answer that count as a refusal


@contextmanager
def another_host(path: str) -> Iterator[str]:
    """A machine beside this one, as a namespace pinned at `path`, which sends everything it does not know to us."""
    netns.pin(path)
    inside = f"nsenter --net={path} ip"
    try:
        for command in (
            f"ip link add toward type veth peer name back netns {path}",
            f"ip address add {HOST}/30 dev toward",
            "ip link set toward up",
            f"{inside} link set lo up",
            f"{inside} address add {BESIDE}/30 dev back",
            f"{inside} link set back up",
            f"{inside} route add default via {HOST}",
        ):
            subprocess.run(command.split(), check=True)
        yield path
    finally:
        netns.unpin(path)
        subprocess.run(["ip", "link", "delete", "toward"], check=False, capture_output=True)


def answers(client: str, address: str, port: int) -> bool:
    """Whether anything accepts a TCP connection from namespace `client`, "" for this one."""

    def knock() -> bool:
        try:
            with socket.create_connection((address, port), timeout=_REFUSED):
                return True
        except OSError:
            return False

    return bool(within(client, knock))


@contextmanager
def listening(path: str, port: int) -> Iterator[None]:
    """Something in namespace `path`, "" for this one, that accepts connections to `port` on any address."""
    with netns.entered(path or "/proc/thread-self/ns/net"):
        listener = socket.create_server(("0.0.0.0", port))
    with listener:
        yield


def ask_udp(server: str, port: int, client: str, target: tuple[str, int]) -> str:
    """Send a datagram from namespace `client` to `target`; returns whom the server saw, and answers it."""
    with netns.entered(server):
        answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with netns.entered(client or "/proc/thread-self/ns/net"):
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with answering, asking:
        answering.bind(("0.0.0.0", port))
        for end in (answering, asking):
            end.settimeout(5)
        asking.connect(target)
        asking.send(b"who are you")
        question, peer = answering.recvfrom(100)
        assert question == b"who are you"
        answering.sendto(b"a server", peer)
        assert asking.recv(100) == b"a server"
    return str(peer[0])


def published(*ports: PortMapping) -> Endpoint:
    """An endpoint that asks for these."""
    return Endpoint("box", ports=ports)


class PublishSuite(OnHost):
    """Every promise of `cmanager.seams.Publish`, checked."""

    ability = Publish

    @pytest.fixture
    def beside(self, host: None, tmp_path: Path) -> Iterator[str]:
        """The namespace of another host."""
        with another_host(str(tmp_path / "beside")) as path:
            yield path

    def test_it_publishes(self, provider: Network) -> None:
        """It has the ability of the seam."""
        assert isinstance(provider, Publish), "cmanager.seams.Publish.check_ports is missing"

    def test_a_port_is_reached_from_everywhere(self, provider: Network, box: Callable[[int], Box], beside: str) -> None:
        """From another host, the host, over its loopback, from a sibling and from the container itself."""
        one, two = box(1), box(2)
        said = provider.attach(one.id, one.path, published(PortMapping("", 8080, 80)))
        provider.attach(two.id, two.path, ENDPOINT)
        assert said.ports == (PortMapping("0.0.0.0", 8080, 80),), "attach must tell what was published"
        at = partial(reach, one.path, address=address_of(said), port=80)
        assert at(beside, via=(HOST, 8080)) == BESIDE, "the address of who asks from elsewhere is kept"
        for client, address in (("", HOST), ("", "127.0.0.1"), ("", "127.1.2.3"), (two.path, HOST), (one.path, HOST)):
            assert at(client, via=(address, 8080)), (client, address)
        for each in (one, two):
            provider.detach(each.id, each.path)

    def test_udp(self, provider: Network, box: Callable[[int], Box], beside: str) -> None:
        """The same port of both protocols leads to two places."""
        one = box(1)
        provider.attach(one.id, one.path, published(PortMapping("", 53, 5300, "udp"), PortMapping("", 53, 80)))
        assert ask_udp(one.path, 5300, beside, (HOST, 53)) == BESIDE
        for client, address in (("", HOST), ("", "127.0.0.1"), (one.path, HOST)):
            assert ask_udp(one.path, 5300, client, (address, 53))
        provider.detach(one.id, one.path)

    def test_the_bind_address_is_honoured(self, provider: Network, box: Callable[[int], Box], beside: str) -> None:
        """A port on one address is on no other; one on the loopback is the host's alone."""
        one, two = box(1), box(2)
        ports = (PortMapping(HOST, 8080, 80), PortMapping("127.0.0.1", 9090, 80))
        assert provider.attach(one.id, one.path, published(*ports)).ports == ports
        gateway = provider.attach(two.id, two.path, ENDPOINT).gateway
        # Whoever is asked to send to 127.0.0.1 over a link does: the other end has to refuse.
        within(beside, lambda: _send_loopback_to(HOST))
        within(two.path, lambda: _send_loopback_to(gateway))
        with listening(one.path, 80), listening("", 7000):
            for client in (beside, "", two.path):
                assert answers(client, HOST, 8080), f"a port on {HOST} must answer there"
            assert not answers("", "127.0.0.1", 8080), f"a port on {HOST} must not answer on the loopback"
            assert not answers(two.path, gateway, 8080), f"a port on {HOST} must not answer on another address"
            assert answers("", "127.0.0.1", 9090), "a port on the loopback must answer to the host"
            for client in (beside, one.path, two.path):
                for address in (HOST, gateway, "127.0.0.1"):
                    assert not answers(client, address, 9090), f"a port on the loopback answered at {address}"
            assert answers("", "127.0.0.1", 7000), "what the host listens on is none of the network's business"
            for client in (beside, two.path):
                assert not answers(client, "127.0.0.1", 7000), "nor may it open the host's own loopback"
        for each in (one, two):
            provider.detach(each.id, each.path)

    def test_only_the_port_is_reached(self, provider: Network, box: Callable[[int], Box], beside: str) -> None:
        """Not another one, and not the container's own address, by the same or another port."""
        one = box(1)
        said = provider.attach(one.id, one.path, published(PortMapping("", 8080, 80)))
        with listening(one.path, 80), listening(one.path, 81):
            assert answers(beside, HOST, 8080), "the published port must answer"
            assert not answers(beside, HOST, 81), "another port of the container must not"
            for port in (80, 81):
                assert not answers(beside, address_of(said), port), "nor may its own address be reached from outside"
        provider.detach(one.id, one.path)

    def test_free_ports(self, provider: Network, box: Callable[[int], Box]) -> None:
        """0 is any of the host's ephemeral range, a range its first free one; all differ."""
        one, two = box(1), box(2)
        wanted = (PortMapping("", 0, 80), PortMapping("", 0, 81), PortMapping("", 8000, 82, host_last=8001))
        first = provider.attach(one.id, one.path, published(*wanted)).ports
        second = provider.attach(two.id, two.path, published(*wanted)).ports
        assert [port.container_port for port in first] == [80, 81, 82]
        assert {port.host_port for port in (*first[:2], *second[:2])} <= set(sockets.ephemeral())
        assert len({port.host_port for port in (*first, *second)}) == 6
        assert (first[2].host_port, second[2].host_port) == (8000, 8001)
        three = box(3)
        with pytest.raises(ConflictError, match="8000-8001"):
            provider.attach(three.id, three.path, published(wanted[2]))
        for each in (one, two):
            provider.detach(each.id, each.path)

    @pytest.mark.parametrize(
        ("has", "wants", "conflict"),
        [
            (("", 8080, 80, "tcp"), ("", 8080, 81, "tcp"), True),
            (("", 8080, 80, "tcp"), ("127.0.0.1", 8080, 80, "tcp"), True),
            (("127.0.0.1", 8080, 80, "tcp"), ("", 8080, 80, "tcp"), True),
            (("127.0.0.1", 8080, 80, "tcp"), ("127.0.0.2", 8080, 80, "tcp"), False),
            (("", 8080, 80, "tcp"), ("", 8080, 80, "udp"), False),
            (("", 8080, 80, "tcp"), ("", 8081, 80, "tcp"), False),
        ],
    )
    def test_a_port_that_a_container_has(
        self,
        provider: Network,
        box: Callable[[int], Box],
        has: tuple[str, int, int, str],
        wants: tuple[str, int, int, str],
        conflict: bool,
    ) -> None:
        """ConflictError names port and holder, when checked and when attached; nothing is left, and it gets free."""
        assert isinstance(provider, Publish)
        one, two = box(1), box(2)
        wanted = (PortMapping("", 0, 90), PortMapping(*wants))
        provider.attach(one.id, one.path, published(PortMapping(*has)))
        before = traces()
        if conflict:
            for _ in range(2):
                with pytest.raises(ConflictError, match=rf"8080/tcp is taken by container {one.id[:12]}"):
                    provider.check_ports(wanted, now=True)
                with pytest.raises(ConflictError, match=rf"8080/tcp is taken by container {one.id[:12]}"):
                    provider.attach(two.id, two.path, published(*wanted))
            provider.check_ports(wanted, now=False)
            assert traces() == before, "a refused attach must leave nothing"
            assert provider.owned() == {one.id}
            provider.detach(one.id, one.path)
        provider.check_ports(wanted, now=True)
        provider.attach(two.id, two.path, published(*wanted))
        for each in (one, two):
            provider.detach(each.id, each.path)

    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_a_port_that_a_process_has(self, provider: Network, box: Callable[[int], Box], protocol: str) -> None:
        """The same when a socket of the host has it: the text names the process."""
        assert isinstance(provider, Publish)
        one = box(1)
        wanted = (PortMapping("", 8080, 80, protocol),)
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as taker:
            taker.bind(("127.0.0.1", 8080))
            if protocol == "tcp":
                taker.listen()
            before = traces()
            with pytest.raises(ConflictError, match=rf"8080/{protocol} is taken by process {os.getpid()} \("):
                provider.check_ports(wanted, now=True)
            with pytest.raises(ConflictError, match=rf"8080/{protocol} is taken by process {os.getpid()} \("):
                provider.attach(one.id, one.path, published(*wanted))
            assert traces() == before, "a refused attach must leave nothing"
            assert provider.owned() == frozenset()
        provider.attach(one.id, one.path, published(*wanted))
        provider.detach(one.id, one.path)

    @pytest.mark.parametrize(
        ("ports", "error", "text"),
        [
            ((PortMapping("", 80, 1), PortMapping("127.0.0.1", 80, 2)), InvalidError, "80/tcp is published twice"),
            ((PortMapping("localhost", 80, 80),), InvalidError, "'localhost'"),
            ((PortMapping("224.0.0.1", 80, 80),), InvalidError, "224.0.0.1"),
            ((PortMapping("", 80, 80, "sctp"),), UnsupportedError, "80/sctp"),
        ],
    )
    def test_what_can_never_be_published(
        self, provider: Network, ports: tuple[PortMapping, ...], error: type[Exception], text: str
    ) -> None:
        """Refused whether or not it is for now."""
        assert isinstance(provider, Publish)
        for now in (False, True):
            with pytest.raises(error, match=text):
                provider.check_ports(ports, now=now)

    def test_an_address_of_somebody_else(self, provider: Network, box: Callable[[int], Box]) -> None:
        """May come later, so it is refused only now, naming it."""
        assert isinstance(provider, Publish)
        one, wanted = box(1), (PortMapping("203.0.113.7", 80, 80),)
        before = traces()
        provider.check_ports(wanted, now=False)
        with pytest.raises(InvalidError, match=r"203\.0\.113\.7"):
            provider.check_ports(wanted, now=True)
        with pytest.raises(InvalidError, match=r"203\.0\.113\.7"):
            provider.attach(one.id, one.path, published(*wanted))
        assert traces() == before, "nothing may be left"

    def test_detach_releases(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Whoever asks next has it, and the port leads to it; the last takes all traces away."""
        one, two = box(1), box(2)
        before = traces()
        provider.attach(two.id, two.path, published(PortMapping("", 8081, 80)))
        for _ in range(2):
            said = provider.attach(one.id, one.path, published(PortMapping("", 8080, 80)))
            assert reach(one.path, "", address_of(said), 80, via=("127.0.0.1", 8080))
            provider.detach(one.id, one.path)
            provider.detach(one.id, one.path)
            assert not answers("", "127.0.0.1", 8080), "a port must be closed with its container"
        provider.detach(two.id, two.path)
        assert traces() == before, "nothing may be left"

    def test_ports_of_manyat_once(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Processes that publish at the same time never get the same port."""
        boxes = [box(number) for number in range(8)]
        before = traces()
        wanted = published(PortMapping("", 9000, 80, host_last=9000 + len(boxes) - 1), PortMapping("", 0, 81))
        at_once([partial(provider.attach, one.id, one.path, wanted) for one in boxes])
        late = box(99)
        with pytest.raises(ConflictError):
            provider.attach(late.id, late.path, wanted)
        at_once([partial(provider.detach, one.id, one.path) for one in boxes])
        assert traces() == before, "nothing may be left"


def _send_loopback_to(gateway: str) -> None:
    """Make this namespace send 127.0.0.1 over its link rather than to itself."""
    for path in ("all", "default"):
        with open(f"/proc/sys/net/ipv4/conf/{path}/route_localnet", "w", encoding="ascii") as file:
            file.write("1")
    for command in (
        "ip rule add preference 1 lookup local",
        "ip rule delete preference 0",
        "ip rule add preference 0 to 127.0.0.0/8 lookup 77",
        f"ip route add 127.0.0.0/8 via {gateway} table 77",
    ):
        subprocess.run(command.split(), check=True)
