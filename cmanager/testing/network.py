"""The conformance suites of the network seam, and what they need: a host of their own, and namespaces to connect.

    class TestMine(NetworkSuite):
        provider = "mine"

`NetworkSuite` is for any provider; what concerns namespaces is skipped where containers share the host's, what concerns
an interface where it makes none. `AssignSuite` is for one that gives certain addresses on request. Everything runs as
root, inside a network namespace made for the test, so the machine's links, rules and settings stay as they are. Needs
the program ip (iproute2).
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import frozen

from ..errors import CmanagerError, ConflictError, InvalidError
from ..linux import netns, syscalls
from ..linux.rtnetlink import LOOPBACK, Rtnetlink
from ..model.network import Attachment, Endpoint
from ..seams import Assign, Network
from .storage import in_child
from .suite import Suite, held, steady

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
    """What a provider could leave behind on the host it is called in, and in this process."""
    return {
        "links": sorted(links()),
        "addresses": sorted((link["ifname"], a["local"]) for link in links().values() for a in link["addr_info"]),
        "routes": routes(),
        "tables": _said("nft", "list", "ruleset"),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii"),
        **held(),
    }


def reach(server: str, client: str, address: str, port: int = 0, via: tuple[str, int] | None = None) -> str:
    """Connect from namespace `client` over TCP to `address` in namespace `server` ("" for this one).

    port: to listen on, 0 for any; via: address and port to connect to, where that is another. Returns the address that
    the server saw; fails when nothing answers.
    """
    with netns.entered(server or _HERE):
        listener = socket.create_server((address, port))
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
        gone = os.pidfd_open(asking)
        waiting: list[int] = [listener.fileno(), gone]
        if listener.fileno() in select.select(waiting, [], [])[0]:
            answer()
        os.close(gone)
        _, status = os.waitpid(asking, 0)
    assert status == 0, f"port {target[1]} of {target[0]} could not be reached"
    assert seen, f"what answered at port {target[1]} of {target[0]} was somebody else"
    return seen[0]


@frozen
class Box:
    """A container's namespace: its id, and the path a provider gets, "" when the provider is not isolated."""

    id: str
    path: str


@pytest.mark.root
class OnHost(Suite):
    """What the suites of the seam share: a host, and containers on it."""

    seam = "network"
    ability: ClassVar[type] = Network

    @pytest.fixture(autouse=True)
    def host(self) -> Iterator[None]:
        """A host of its own for each test."""
        with fresh_host():
            yield

    @pytest.fixture(name="provider")
    def _provider(self, host: None, place: Path) -> Any:
        """Made on that host, and asked once: what it opens then and keeps is not left behind by what follows."""
        made = self.make(place)
        assert made.owned() == frozenset(), "a new provider owns nothing"
        return made

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

    @pytest.fixture
    def linked(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Skips what is about an interface with an address where the provider makes none, and says that it does not."""
        if not provider.isolated:
            pytest.skip("containers of this network live in the host's namespace")
        one = box(1000)
        said = provider.attach(one.id, one.path, ENDPOINT)
        found = [name for name, link in links(one.path).items() if name != "lo" and link["addr_info"]]
        provider.detach(one.id, one.path)
        assert said.addresses or not found, f"there are addresses on {found} that the attachment does not tell of"
        if not said.addresses:
            pytest.skip("this network gives containers no address")


class NetworkSuite(OnHost):
    """Every promise of `cmanager.seams.Network`, checked."""

    def test_it_is_a_network(self, provider: Network) -> None:
        """It has the methods of the seam, and says yes or no to `isolated`."""
        assert isinstance(provider, Network), "a method of cmanager.seams.Network is missing"
        assert provider.isolated in (True, False)

    def test_loopback_works(self, provider: Network, box: Callable[[int], Box]) -> None:
        """An attached container can talk to itself."""
        one = box(1)
        assert isinstance(provider.attach(one.id, one.path, ENDPOINT), Attachment), "attach must return an Attachment"
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
        assert traces() == before, "detach must undo all that attach did"
        assert provider.owned() == frozenset(), "what is detached must not be owned"

    def test_detach_is_idempotent(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Detaching twice, or what never was attached, is success."""
        one = box(1)
        provider.detach(one.id, one.path)
        provider.attach(one.id, one.path, ENDPOINT)
        provider.detach(one.id, one.path)
        provider.detach(one.id, one.path)
        assert provider.owned() == frozenset(), "what is detached must not be owned"

    def test_nothing_is_held_for_containers_that_are_gone(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Neither descriptors nor threads nor processes grow with the number of containers."""
        one = box(1)

        def live(number: int) -> None:
            provider.attach(one.id, one.path, ENDPOINT)
            provider.owned()
            provider.detach(one.id, one.path)

        steady(live)

    # -- containers with a namespace ---------------------------------------------------------------------------------

    def test_the_namespace_may_be_gone(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Detach works when the namespace went first, and the id can be attached again."""
        _isolated(provider)
        one = box(1)
        before = traces()
        provider.attach(one.id, one.path, ENDPOINT)
        netns.unpin(one.path)
        provider.detach(one.id, one.path)
        assert traces() == before, "detach must undo all that attach did, with or without the namespace"
        again = box(1)
        provider.attach(again.id, again.path, ENDPOINT)
        provider.detach(again.id, again.path)

    @pytest.mark.parametrize("kind", ["missing", "a file", "another namespace"])
    def test_a_failure_leaves_nothing(
        self, provider: Network, box: Callable[[int], Box], tmp_path: Path, kind: str
    ) -> None:
        """A path that is no network namespace is an error of cmanager.errors; the same id works afterwards."""
        _isolated(provider)
        one = box(1)
        (tmp_path / "file").touch()
        path = {"missing": f"{tmp_path}/missing", "a file": f"{tmp_path}/file"}.get(kind, "/proc/self/ns/uts")
        before = traces()
        with pytest.raises(CmanagerError):
            provider.attach(one.id, path, ENDPOINT)
        assert traces() == before, "a failed attach must undo itself"
        assert provider.owned() == frozenset(), "a failed attach must leave no lease"
        provider.attach(one.id, one.path, ENDPOINT)
        provider.detach(one.id, one.path)

    # -- containers with an interface --------------------------------------------------------------------------------

    def test_what_it_says_is_there(self, provider: Network, box: Callable[[int], Box], linked: None) -> None:
        """Interface, addresses, MAC and routes are those of the attachment."""
        one = box(1)
        said = provider.attach(one.id, one.path, ENDPOINT)
        shown = links(one.path)
        assert said.interface in shown, f"the container has {sorted(shown)}, not the interface that attach returned"
        link = shown[said.interface]
        assert link["operstate"] == "UP", "the interface must be up"
        assert link["address"] == said.mac, "the MAC must be the interface's"
        found = {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]}
        assert set(said.addresses) <= found, "every address that attach returned must be on the interface"
        ways = {(r["dst"].replace("default", "0.0.0.0/0"), r.get("gateway", "")) for r in routes(one.path)}
        assert set(said.routes) <= ways, "every route that attach returned must be there"
        provider.detach(one.id, one.path)
        assert said.interface not in links(one.path), "detach must take the interface away"

    def test_containers_reach_each_other(self, provider: Network, box: Callable[[int], Box], linked: None) -> None:
        """By address, both ways, each seen under its own."""
        first, second = box(1), box(2)
        one = address_of(provider.attach(first.id, first.path, ENDPOINT))
        two = address_of(provider.attach(second.id, second.path, ENDPOINT))
        assert reach(first.path, second.path, one) == two
        assert reach(second.path, first.path, two) == one
        for each in (first, second):
            provider.detach(each.id, each.path)

    def test_owned(self, provider: Network, box: Callable[[int], Box], linked: None) -> None:
        """Whoever is attached is owned, by full id."""
        first, second = box(1), box(2)
        for one in (first, second):
            provider.attach(one.id, one.path, ENDPOINT)
        assert provider.owned() == {first.id, second.id}, "owned must tell of everyone who is attached"
        provider.detach(first.id, first.path)
        assert provider.owned() == {second.id}, "owned must tell of nobody who is not"
        provider.detach(second.id, second.path)

    def test_another_process_knows_them_too(self, provider: Network, box: Callable[[int], Box], linked: None) -> None:
        """Who is attached is no secret of the process that attached it: gc and `rm` are other processes."""
        one = box(1)
        at_once([partial(provider.attach, one.id, one.path, ENDPOINT)])
        assert provider.owned() == {one.id}
        at_once([partial(provider.detach, one.id, one.path)])
        assert provider.owned() == frozenset()

    def test_many_at_once(self, provider: Network, box: Callable[[int], Box], linked: None) -> None:
        """Processes that attach and detach at the same time get addresses of their own and leave nothing."""
        boxes = [box(number) for number in range(12)]
        before = traces()
        at_once([partial(provider.attach, one.id, one.path, ENDPOINT) for one in boxes])
        assert provider.owned() == {one.id for one in boxes}
        given = {a["local"] for one in boxes for link in links(one.path).values() for a in link["addr_info"]}
        given = {address for address in given if "." in address} - {"127.0.0.1"}
        assert len(given) == len(boxes), "two containers must never get one address"
        at_once([partial(provider.detach, one.id, one.path) for one in boxes])
        assert provider.owned() == frozenset()
        assert traces() == before, "detach must undo all that attach did"


class AssignSuite(OnHost):
    """Every promise of `cmanager.seams.Assign`, checked."""

    ability = Assign

    def test_it_assigns(self, provider: Network) -> None:
        assert isinstance(provider, Assign), "cmanager.seams.Assign.check_address is missing"

    def test_a_fixed_address_is_given(self, provider: Any, box: Callable[[int], Box]) -> None:
        """To whoever asks for one that is free."""
        first, second = box(1), box(2)
        said = provider.attach(first.id, first.path, ENDPOINT)
        provider.detach(first.id, first.path)
        provider.check_address(address_of(said), "", now=True)
        again = provider.attach(second.id, second.path, Endpoint("two", address=address_of(said)))
        assert again.addresses == said.addresses, "the address that is asked for must be given"
        provider.detach(second.id, second.path)

    def test_a_fixed_mac_is_given(self, provider: Any, box: Callable[[int], Box]) -> None:
        one, mac = box(1), "02:42:12:34:56:78"
        provider.check_address("", mac, now=True)
        said = provider.attach(one.id, one.path, Endpoint("box", mac=mac))
        assert said.mac == mac, "the MAC that is asked for must be given"
        assert links(one.path)[said.interface]["address"] == mac
        provider.detach(one.id, one.path)

    def test_an_address_that_is_taken_is_a_conflict(self, provider: Any, box: Callable[[int], Box]) -> None:
        """ConflictError names who has it, and nothing is left of the other."""
        first, second = box(1), box(2)
        said = provider.attach(first.id, first.path, ENDPOINT)
        taken = address_of(said)
        with pytest.raises(ConflictError):
            provider.attach(second.id, second.path, Endpoint("two", address=taken))
        provider.check_address(taken, "", now=False)
        with pytest.raises(ConflictError, match=first.id[:12]):
            provider.check_address(taken, "", now=True)
        assert provider.owned() == {first.id}, "a refused attach must leave no lease"
        assert said.interface not in links(second.path), "a refused attach must leave no interface"
        provider.detach(first.id, first.path)

    @pytest.mark.parametrize(
        ("address", "mac"),
        [("203.0.113.7", ""), ("one", ""), ("", "01:00:5e:00:00:01"), ("", "mac")],
        ids=["of another network", "no address", "of a group", "no MAC"],
    )
    def test_what_can_never_be_given(self, provider: Any, box: Callable[[int], Box], address: str, mac: str) -> None:
        """InvalidError, when checked and when attached; nothing is left."""
        one = box(1)
        before = traces()
        for now in (False, True):
            with pytest.raises(InvalidError):
                provider.check_address(address, mac, now=now)
        with pytest.raises(InvalidError):
            provider.attach(one.id, one.path, Endpoint("box", address=address, mac=mac))
        assert traces() == before, "a refused attach must leave nothing"
        assert provider.owned() == frozenset()


def _isolated(provider: Network) -> None:
    if not provider.isolated:
        pytest.skip("containers of this network live in the host's namespace")


def address_of(attachment: Attachment) -> str:
    """The first address, without the length of its prefix."""
    return attachment.addresses[0].partition("/")[0]


def at_once(actions: list[Callable[[], object]]) -> None:
    """Each action in a process of its own; all must succeed."""
    children = []
    for action in actions:
        child = os.fork()
        if child == 0:
            _end(action)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children), "one of several processes failed"


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
