"""The conformance suites of the network seam, and what they need: a host of their own, and namespaces to connect.

    @pytest.mark.root
    class TestMine(LinkSuite):
        @pytest.fixture
        def provider(self, host, tmp_path):
            return Mine(tmp_path / "run")

`provider` is a ready instance with fresh directories. `NetworkSuite` is for any provider, `IsolatedSuite` for one whose
containers have namespaces, `LinkSuite` for one that gives those an interface with an address. Everything runs as root,
inside a network namespace made for the test, so the machine's links, rules and settings stay as they are. Needs the
program ip (iproute2).
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from ..errors import CmanagerError, ConflictError, InvalidError
from ..linux import netns, syscalls
from ..linux.rtnetlink import LOOPBACK, Rtnetlink
from ..model.network import Attachment, Endpoint
from ..seams import Assign, Network
from .storage import in_child

ENDPOINT = Endpoint("box", aliases=("box",))
_HERE = "/proc/thread-self/ns/net"
_GREETING = b"from the other side"


def container_id(number: int) -> str:
    """A container id for a test; unlike in their first digits already, as names of links are cut short."""
    return hashlib.sha256(str(number).encode()).hexdigest()


@contextmanager
def fresh_host() -> Iterator[None]:
    """The calling thread in a new network namespace with a loopback that works; back in its own afterwards."""
    here = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            with Rtnetlink() as kernel:
                kernel.up(LOOPBACK)
            yield
        finally:
            syscalls.setns(here, syscalls.CLONE_NEWNET)
    finally:
        os.close(here)


def within(path: str, action: Callable[[], Any]) -> Any:
    """What `action` returns, through JSON, from a child process in the network namespace at `path`, "" for this one."""

    def entered() -> Any:
        if not path:
            return action()
        with netns.entered(path):
            return action()

    return in_child(entered)


def links(path: str = "") -> dict[str, dict[str, Any]]:
    """Links of a namespace by name, in the words of `ip -json address`."""
    return {link["ifname"]: link for link in within(path, lambda: _ip("address"))}


def routes(path: str = "") -> list[dict[str, Any]]:
    """IPv4 routes of a namespace, in the words of `ip -json route`."""
    found: list[dict[str, Any]] = within(path, lambda: _ip("-4", "route"))
    return found


def traces() -> dict[str, Any]:
    """What a provider could leave behind on the host it is called in."""
    return {
        "links": sorted(links()),
        "addresses": sorted((link["ifname"], a["local"]) for link in links().values() for a in link["addr_info"]),
        "routes": routes(),
        "tables": _said("nft", "list", "ruleset"),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii"),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


def reach(server: str, client: str, address: str, port: int = 0, via: tuple[str, int] | None = None) -> str:
    """Connect from namespace `client` over TCP to `address` in namespace `server` ("" for this one).

    port: to listen on, 0 for any; via: address and port to connect to, where that is another. Returns the address that
    the server saw; fails when nothing answers.
    """
    with netns.entered(server or _HERE):
        listener = socket.create_server((address, port))
    listener.settimeout(20)
    seen: list[str] = []

    def answer() -> None:
        connection, peer = listener.accept()
        with connection:
            seen.append(peer[0])
            connection.sendall(_GREETING)

    def ask() -> None:
        with netns.entered(client or _HERE), socket.create_connection(target, timeout=10) as connection:
            assert connection.recv(100) == _GREETING

    target = via or (address, listener.getsockname()[1])
    with listener:
        asking = os.fork()
        if asking == 0:
            _end(ask)
        try:
            answer()
        finally:
            _, status = os.waitpid(asking, 0)
    assert status == 0, f"the connection to {address} gave nothing"
    return seen[0]


@frozen
class Box:
    """A container's namespace: its id, and the path a provider gets, "" when the provider is not isolated."""

    id: str
    path: str


@pytest.mark.root
class NetworkSuite:
    """What every network provider promises; subclass it and give `provider`."""

    @pytest.fixture(autouse=True)
    def host(self) -> Iterator[None]:
        """A host of its own for each test."""
        with fresh_host():
            yield

    @pytest.fixture
    def provider(self) -> Network:
        """The provider under test."""
        raise NotImplementedError("subclass the suite and give it a fixture named provider")

    @pytest.fixture
    def box(self, provider: Network, tmp_path: Path) -> Iterator[Callable[[int], Box]]:
        """Makes the namespace of container `number`; all are removed afterwards."""
        made: list[str] = []

        def make(number: int) -> Box:
            id = container_id(number)
            if not provider.isolated:
                return Box(id, "")
            path = str(tmp_path / f"netns-{number}")
            netns.pin(path)
            made.append(path)
            return Box(id, path)

        yield make
        for path in made:
            netns.unpin(path)

    def test_it_is_a_network(self, provider: Network) -> None:
        """It has the methods of the seam, and says yes or no to `isolated`."""
        assert isinstance(provider, Network)
        assert provider.isolated in (True, False)
        assert provider.owned() == frozenset()

    def test_loopback_works(self, provider: Network, box: Callable[[int], Box]) -> None:
        """An attached container can talk to itself."""
        one = box(1)
        assert isinstance(provider.attach(one.id, one.path, ENDPOINT), Attachment)
        assert reach(one.path, one.path, "127.0.0.1") == "127.0.0.1"
        provider.detach(one.id, one.path)

    def test_nothing_is_left(self, provider: Network, box: Callable[[int], Box]) -> None:
        """After the last detach the host is as it was: links, rules, settings, threads and descriptors."""
        first, second = box(1), box(2)
        before = traces()
        for one in (first, second):
            provider.attach(one.id, one.path, ENDPOINT)
        for one in (first, second):
            provider.detach(one.id, one.path)
        assert traces() == before
        assert provider.owned() == frozenset()

    def test_detach_is_idempotent(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Detaching twice, or what never was attached, is success."""
        one = box(1)
        provider.detach(one.id, one.path)
        provider.attach(one.id, one.path, ENDPOINT)
        provider.detach(one.id, one.path)
        provider.detach(one.id, one.path)
        assert provider.owned() == frozenset()


class IsolatedSuite(NetworkSuite):
    """What a provider promises besides when each container has a namespace."""

    def test_the_namespace_may_be_gone(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Detach works when the namespace went first, and the id can be attached again."""
        one = box(1)
        before = traces()
        provider.attach(one.id, one.path, ENDPOINT)
        netns.unpin(one.path)
        provider.detach(one.id, one.path)
        assert traces() == before
        again = box(1)
        provider.attach(again.id, again.path, ENDPOINT)
        provider.detach(again.id, again.path)

    @pytest.mark.parametrize("kind", ["missing", "a file", "another namespace"])
    def test_a_failure_leaves_nothing(
        self, provider: Network, box: Callable[[int], Box], tmp_path: Path, kind: str
    ) -> None:
        """A path that is no network namespace is an error of cmanager.errors; the same id works afterwards."""
        one = box(1)
        (tmp_path / "file").touch()
        path = {"missing": f"{tmp_path}/missing", "a file": f"{tmp_path}/file"}.get(kind, "/proc/self/ns/uts")
        before = traces()
        with pytest.raises(CmanagerError):
            provider.attach(one.id, path, ENDPOINT)
        assert traces() == before
        assert provider.owned() == frozenset()
        provider.attach(one.id, one.path, ENDPOINT)
        provider.detach(one.id, one.path)


class LinkSuite(IsolatedSuite):
    """What a provider promises besides when containers get an interface with an IPv4 address."""

    def test_what_it_says_is_there(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Interface, addresses, MAC and routes are those of the attachment."""
        one = box(1)
        said = provider.attach(one.id, one.path, ENDPOINT)
        link = links(one.path)[said.interface]
        assert link["operstate"] == "UP"
        assert link["address"] == said.mac
        assert said.addresses
        assert set(said.addresses) <= {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]}
        found = {(r["dst"].replace("default", "0.0.0.0/0"), r.get("gateway", "")) for r in routes(one.path)}
        assert set(said.routes) <= found
        provider.detach(one.id, one.path)
        assert said.interface not in links(one.path)

    def test_containers_reach_each_other(self, provider: Network, box: Callable[[int], Box]) -> None:
        """By address, both ways, each seen under its own."""
        first, second = box(1), box(2)
        one = _address(provider.attach(first.id, first.path, ENDPOINT))
        two = _address(provider.attach(second.id, second.path, ENDPOINT))
        assert reach(first.path, second.path, one) == two
        assert reach(second.path, first.path, two) == one
        for each in (first, second):
            provider.detach(each.id, each.path)

    def test_owned(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Whoever is attached is owned, by full id."""
        first, second = box(1), box(2)
        for one in (first, second):
            provider.attach(one.id, one.path, ENDPOINT)
        assert provider.owned() == {first.id, second.id}
        provider.detach(first.id, first.path)
        assert provider.owned() == {second.id}
        provider.detach(second.id, second.path)

    def test_a_fixed_address(self, provider: Network, box: Callable[[int], Box]) -> None:
        """It is honoured; ConflictError when taken, InvalidError when it is none or foreign, and nothing is left."""
        first, second = box(1), box(2)
        said = provider.attach(first.id, first.path, ENDPOINT)
        with pytest.raises(ConflictError):
            provider.attach(second.id, second.path, Endpoint("two", address=_address(said)))
        for wrong in ("203.0.113.7", "one"):
            with pytest.raises(InvalidError):
                provider.attach(second.id, second.path, Endpoint("two", address=wrong))
        assert provider.owned() == {first.id}
        assert said.interface not in links(second.path)
        if isinstance(provider, Assign):
            provider.check_address(_address(said), "", now=False)
            with pytest.raises(ConflictError, match=first.id[:12]):
                provider.check_address(_address(said), "", now=True)
            for address, mac in (("203.0.113.7", ""), ("one", ""), ("", "01:00:5e:00:00:01"), ("", "mac")):
                with pytest.raises(InvalidError):
                    provider.check_address(address, mac, now=False)
        provider.detach(first.id, first.path)
        again = provider.attach(second.id, second.path, Endpoint("two", address=_address(said)))
        assert again.addresses == said.addresses
        provider.detach(second.id, second.path)

    def test_many_at_once(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Processes that attach and detach at the same time get addresses of their own and leave nothing."""
        boxes = [box(number) for number in range(12)]
        before = traces()
        _at_once([partial(provider.attach, one.id, one.path, ENDPOINT) for one in boxes])
        assert provider.owned() == {one.id for one in boxes}
        given = {a["local"] for one in boxes for link in links(one.path).values() for a in link["addr_info"]}
        assert len({address for address in given if "." in address} - {"127.0.0.1"}) == len(boxes)
        _at_once([partial(provider.detach, one.id, one.path) for one in boxes])
        assert provider.owned() == frozenset()
        assert traces() == before


def _address(attachment: Attachment) -> str:
    return attachment.addresses[0].partition("/")[0]


def _at_once(actions: list[Callable[[], object]]) -> None:
    """Each action in a process of its own; all must succeed."""
    children = []
    for action in actions:
        child = os.fork()
        if child == 0:
            _end(action)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def _end(action: Callable[[], object]) -> None:
    """The end of a forked child: 0, or 1 with a traceback on stderr."""
    status = 1
    try:
        action()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _ip(*arguments: str) -> Any:
    return json.loads(_said("ip", "-json", *arguments) or "[]")


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
