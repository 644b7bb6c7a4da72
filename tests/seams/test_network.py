"""The network seam: the suites over every provider, and what the bridge promises beyond them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cmanager.errors import ConflictError, ExhaustedError, HostError, InvalidError, UnsupportedError
from cmanager.linux import netns
from cmanager.model import Context, Endpoint, PortMapping
from cmanager.seams import Network, Publish
from cmanager.testing.ahead import AheadSuite
from cmanager.testing.network import (
    ENDPOINT,
    AssignSuite,
    Box,
    NetworkSuite,
    container_id,
    fresh_host,
    links,
    reach,
    traces,
    within,
)
from cmanager.testing.ports import PublishSuite, another_host, published
from cmanager.testing.shape import ShapeSuite
from cmanager_bridge import Options
from cmanager_bridge import cmanager_networks as bridge_networks
from cmanager_hostnet import cmanager_networks as null_networks

pytestmark = pytest.mark.root

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def make(kind: str, run: Path, **options: Any) -> Network:
    """A provider by its name, with its run directory at `run`."""
    offered = {p.name: p for p in (*bridge_networks(), *null_networks())}[kind]
    context = Context(state_dir=str(run), run_dir=str(run), root=str(run), shipped="")
    made: Network = offered.factory(context, offered.options(**options) if offered.options else None)
    return made


class TestBridge(NetworkSuite):
    provider = "bridge"


class TestBridgeAhead(AheadSuite):
    provider = "bridge"


class TestNoneAhead(AheadSuite):
    provider = "none"


class TestBridgeAssigns(AssignSuite):
    provider = "bridge"


class TestBridgePublishes(PublishSuite):
    provider = "bridge"


class TestBridgeShapes(ShapeSuite):
    provider = "bridge"


class TestHost(NetworkSuite):
    provider = "host"


class TestNone(NetworkSuite):
    provider = "none"


@pytest.fixture
def host() -> Iterator[None]:
    with fresh_host():
        yield


@pytest.fixture
def box(host: None, tmp_path: Path) -> Iterator[Callable[[int], Box]]:
    made: list[str] = []

    def pinned(number: int) -> Box:
        path = str(tmp_path / f"netns-{number}")
        netns.pin(path)
        made.append(path)
        return Box(container_id(number), path)

    yield pinned
    for path in made:
        netns.unpin(path)


@pytest.fixture
def bridge(host: None, tmp_path: Path) -> Network:
    return make("bridge", tmp_path / "run")


def attach(network: Network, box: Box, address: str = "") -> str:
    """Attach, and the address that came of it."""
    return network.attach(box.id, box.path, Endpoint("box", address=address)).addresses[0].partition("/")[0]


def run(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True)


def run_batch(lines: list[str]) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)


def test_host_shares_and_none_separates(host: None, tmp_path: Path) -> None:
    """Only `host` asks the core for no namespace."""
    assert {name: make(name, tmp_path).isolated for name in ("bridge", "host", "none")} == {
        "bridge": True,
        "host": False,
        "none": True,
    }


def test_none_is_loopback_only(box: Callable[[int], Box], tmp_path: Path) -> None:
    one = box(1)
    make("none", tmp_path).attach(one.id, one.path, ENDPOINT)
    assert list(links(one.path)) == ["lo"]
    assert "UP" in links(one.path)["lo"]["flags"]


# -- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("subnet", "10.88.0.0/31", "subnet: 10.88.0.0/31 has no room"),
        ("subnet", "10.88.0.1/16", "subnet: 10.88.0.1/16 has host bits set"),
        ("subnet", "fd00::/64", "subnet: "),
        ("subnet", 10, "subnet: "),
        ("name", "", "name: '' cannot name a bridge"),
        ("name", "a-name-that-is-too-long", "name: "),
        ("name", 'x"; flush ruleset', "name: "),
        ("name", "br0\n", "name: "),
        ("mtu", 67, "mtu: 67 is neither 0"),
        ("mtu", 65536, "mtu: 65536"),
        ("mtu", -1, "mtu: -1"),
        ("mtu", "1500", "mtu: '1500'"),
        ("dns", "192.0.2.53", "dns: '192.0.2.53' is no list"),
        ("dns", ("resolver",), "dns: 'resolver' does not appear to be"),
    ],
)
def test_options_that_make_no_sense_are_refused(option: str, value: Any, text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        Options(**{option: value})
    assert str(caught.value).startswith(text)


def test_options_are_applied(box: Callable[[int], Box], tmp_path: Path) -> None:
    one = box(1)
    network = make("bridge", tmp_path / "run", subnet="10.99.7.0/28", name="br.x_1", mtu=1400, dns=("192.0.2.53",))
    said = network.attach(one.id, one.path, ENDPOINT)
    assert (said.addresses, said.gateway, said.dns) == (("10.99.7.2/28",), "10.99.7.1", ("192.0.2.53",))
    assert said.routes == (("0.0.0.0/0", "10.99.7.1"),)
    assert links(one.path)["eth0"]["mtu"] == 1400
    assert links()["br.x_1"]["mtu"] == 1400
    network.detach(one.id, one.path)


# -- addresses ----------------------------------------------------------------------------------------------------


def test_an_address_is_not_given_again_at_once(bridge: Network, box: Callable[[int], Box]) -> None:
    one, two = box(1), box(2)
    assert attach(bridge, one) == "10.88.0.2"
    assert attach(bridge, two) == "10.88.0.3"
    bridge.detach(one.id, one.path)
    assert attach(bridge, one) == "10.88.0.4"
    bridge.detach(one.id, one.path)
    bridge.detach(two.id, two.path)
    assert attach(bridge, one) == "10.88.0.5", "also when all had gone"
    bridge.detach(one.id, one.path)


def test_a_full_pool(box: Callable[[int], Box], tmp_path: Path) -> None:
    """All but network, gateway and broadcast address are given; then the text names subnet and remedy."""
    network = make("bridge", tmp_path / "run", subnet="10.99.0.0/29")
    boxes = [box(number) for number in range(6)]
    given = [attach(network, one) for one in boxes[:5]]
    assert given == [f"10.99.0.{last}" for last in range(2, 7)]
    full = traces()
    with pytest.raises(ExhaustedError, match=r"all 5 addresses of 10\.99\.0\.0/29 are taken, remove containers or"):
        attach(network, boxes[5])
    assert traces() == full
    assert len(network.owned()) == 5
    network.detach(boxes[2].id, boxes[2].path)
    assert attach(network, boxes[5]) == "10.99.0.4"
    for one in boxes:
        network.detach(one.id, one.path)


@pytest.mark.parametrize("address", ["10.88.0.0", "10.88.0.1", "10.88.255.255", "10.89.0.1", "10.88.0.2/16", "::1"])
def test_addresses_that_no_container_may_have(bridge: Network, box: Callable[[int], Box], address: str) -> None:
    one, before = box(1), traces()
    with pytest.raises(InvalidError):
        attach(bridge, one, address)
    assert traces() == before
    assert bridge.owned() == frozenset()


def test_a_taken_address_names_its_owner(bridge: Network, box: Callable[[int], Box]) -> None:
    one, two = box(1), box(2)
    attach(bridge, one, "10.88.3.4")
    with pytest.raises(ConflictError, match=rf"address 10\.88\.3\.4 is taken by container {one.id[:12]}"):
        attach(bridge, two, "10.88.3.4")
    bridge.detach(one.id, one.path)


def test_attached_twice(bridge: Network, box: Callable[[int], Box]) -> None:
    """The second is refused and the first goes on working."""
    one, two = box(1), box(2)
    address = attach(bridge, one)
    attach(bridge, two)
    for wanted in ("", "10.88.3.4"):
        with pytest.raises(ConflictError, match=r"attached to 10\.88\.0\.0/16 already, detach it first"):
            attach(bridge, one, wanted)
    assert reach(one.path, two.path, address) == "10.88.0.3"
    for each in (one, two):
        bridge.detach(each.id, each.path)
    assert attach(bridge, one, "10.88.3.4") == "10.88.3.4", "a refused address stays free"
    bridge.detach(one.id, one.path)


def test_macs(bridge: Network, box: Callable[[int], Box]) -> None:
    """From the address, or as asked for; what is none is refused."""
    one, two = box(1), box(2)
    assert bridge.attach(one.id, one.path, ENDPOINT).mac == "02:42:0a:58:00:02"
    assert bridge.attach(two.id, two.path, Endpoint("two", mac="02:00:00:AB:CD:EF")).mac == "02:00:00:ab:cd:ef"
    assert links(two.path)["eth0"]["address"] == "02:00:00:ab:cd:ef"
    three = box(3)
    for wrong in ("mac", "02:00:00:00:00", "01:00:5e:00:00:01"):
        with pytest.raises(InvalidError, match="is no MAC of a container"):
            bridge.attach(three.id, three.path, Endpoint("three", mac=wrong))
    assert bridge.owned() == {one.id, two.id}
    for each in (one, two):
        bridge.detach(each.id, each.path)


# -- the bridge and its rules -------------------------------------------------------------------------------------


def tables() -> str:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout


def test_first_and_last(bridge: Network, box: Callable[[int], Box]) -> None:
    """The first container brings bridge, table and forwarding, the last takes them away."""
    one, two = box(1), box(2)
    before = traces()
    attach(bridge, one)
    attach(bridge, two)
    assert links()["cmanager0"]["addr_info"][0]["local"] == "10.88.0.1"
    assert tables() == "table ip cmanager_cmanager0\n"
    assert FORWARD.read_text(encoding="ascii") == "1\n"
    bridge.detach(one.id, one.path)
    assert "cmanager0" in links()
    assert tables()
    bridge.detach(two.id, two.path)
    assert "cmanager0" not in links()
    assert traces() == before


def test_forwarding_that_was_on_stays_on(bridge: Network, box: Callable[[int], Box]) -> None:
    FORWARD.write_text("1", encoding="ascii")
    one = box(1)
    attach(bridge, one)
    bridge.detach(one.id, one.path)
    assert FORWARD.read_text(encoding="ascii") == "1\n"


def test_forwarding_stays_on_for_another_bridge(bridge: Network, box: Callable[[int], Box], tmp_path: Path) -> None:
    other = make("bridge", tmp_path / "other", name="other0", subnet="10.99.0.0/24")
    one, two = box(1), box(2)
    attach(bridge, one)
    attach(other, two)
    bridge.detach(one.id, one.path)
    assert FORWARD.read_text(encoding="ascii") == "1\n"
    other.detach(two.id, two.path)


def test_the_bridge_keeps_its_mac(bridge: Network, box: Callable[[int], Box]) -> None:
    """Or the containers that stay could not reach the gateway until their caches notice."""
    seen, boxes = set(), [box(number) for number in range(6)]
    for one in boxes:
        attach(bridge, one)
        seen.add(links()["cmanager0"]["address"])
    for one in boxes[:5]:
        bridge.detach(one.id, one.path)
        seen.add(links()["cmanager0"]["address"])
    bridge.detach(boxes[5].id, boxes[5].path)
    assert seen == {"02:42:0a:58:00:01"}


def test_a_link_of_somebody_else_is_left_alone(bridge: Network, box: Callable[[int], Box]) -> None:
    run("ip link add cmanager0 type bridge")
    one, before = box(1), traces()
    with pytest.raises(ConflictError, match=r"link cmanager0 .* set another name in \[network.bridge\]"):
        attach(bridge, one)
    bridge.detach(one.id, one.path)
    assert traces() == before


def test_two_roots_cannot_share_a_bridge(bridge: Network, box: Callable[[int], Box], tmp_path: Path) -> None:
    """They would give the same addresses; the refused one takes nothing from the other."""
    one, two = box(1), box(2)
    attach(bridge, one)
    before = traces()
    with pytest.raises(ConflictError, match="link cmanager0"):
        attach(make("bridge", tmp_path / "other"), two)
    assert traces() == before
    bridge.detach(one.id, one.path)


def test_a_bridge_left_half_made_is_made_again(bridge: Network, box: Callable[[int], Box], tmp_path: Path) -> None:
    """As by one who was killed after the link was there and before it had its address."""
    one = box(1)
    before = traces()
    record = tmp_path / "run" / "cmanager0" / "bridge"
    attach(bridge, one)
    bridge.detach(one.id, one.path)
    record.write_text("begun 0", encoding="ascii")
    run("ip link add cmanager0 type bridge")
    attach(bridge, one)
    assert "10.88.0.1" in [a["local"] for a in links()["cmanager0"]["addr_info"]]
    assert tables()
    bridge.detach(one.id, one.path)
    assert traces() == before


@pytest.mark.parametrize("ports", [(), (PortMapping("", 8080, 80), PortMapping("127.0.0.1", 0, 81))])
@pytest.mark.parametrize("alone", [True, False])
def test_killed_anywhere(
    bridge: Network, box: Callable[[int], Box], ports: tuple[PortMapping, ...], alone: bool
) -> None:
    """Whoever is killed at work is owned, or holds nothing; detach then leaves the host as it was."""
    one, other = box(1), box(2)
    if not alone:
        attach(bridge, other)
    stay = bridge.owned()
    before = traces()
    endpoint = Endpoint("box", ports=ports)
    for action in (partial(bridge.attach, one.id, one.path, endpoint), partial(bridge.detach, one.id, one.path)):
        step = 1
        while True:
            if action.func == bridge.detach:
                bridge.attach(one.id, one.path, endpoint)
            killed = killed_at(step, action)
            held = bridge.owned() - stay
            assert held <= {one.id}
            if not held:
                assert traces() == before, f"at step {step}"
            bridge.detach(one.id, one.path)
            assert bridge.owned() == stay
            assert traces() == before, f"at step {step}"
            if not killed:
                break
            step += 11
        assert step > 100, "it was killed nowhere"
    bridge.detach(other.id, other.path)


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run `action` in a child that kills itself at the `step`th call or return in our code; False when it ended."""
    left = step

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if "/cmanager" in frame.f_code.co_filename:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        sys.setprofile(watch)
        try:
            action()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status != 0


def test_a_namespace_with_links_of_its_own(bridge: Network, box: Callable[[int], Box]) -> None:
    """As on hosts whose kernel puts tunnels into every namespace: eth0 has whatever index is free."""
    one, two = box(1), box(2)
    run(f"nsenter --net={one.path} ip link add tunnel type veth peer name other")
    address = attach(bridge, one)
    attach(bridge, two)
    assert reach(one.path, two.path, address)
    for each in (one, two):
        bridge.detach(each.id, each.path)


# -- what is known when the leases were lost ----------------------------------------------------------------------


@pytest.fixture
def lost(bridge: Network, box: Callable[[int], Box], tmp_path: Path) -> Network:
    """A bridge with two containers, 1 and 2, whose directory on tmpfs was emptied; 1 publishes a port."""
    one = box(1)
    bridge.attach(one.id, one.path, published(PortMapping("", 8080, 80)))
    attach(bridge, box(2))
    shutil.rmtree(tmp_path / "run/cmanager0")
    return bridge


@pytest.fixture
def box_path(tmp_path: Path) -> Callable[[int], str]:
    return lambda number: str(tmp_path / f"netns-{number}")


def test_links_and_ports_tell_whose_they_are(lost: Network, box_path: Callable[[int], str]) -> None:
    """By the links' aliases and the elements' comments; detach finds them, and the last takes bridge and table."""
    one, two = container_id(1), container_id(2)
    assert lost.owned() == {one, two}
    assert one in nft("list", "map", "ip", "cmanager_cmanager0", "anywhere")
    lost.detach(one, box_path(1))
    assert lost.owned() == {two}
    assert "elements" not in nft("list", "map", "ip", "cmanager_cmanager0", "anywhere")
    assert "cmanager0" in links(), "the other one needs it"
    lost.detach(two, box_path(2))
    assert lost.owned() == frozenset()
    assert list(links()) == ["lo"]
    assert tables() == ""


def test_a_port_is_found_without_its_link(lost: Network, box_path: Callable[[int], str]) -> None:
    one = container_id(1)
    run(f"ip link delete cm{one[:13]}")
    assert one in lost.owned()
    lost.detach(one, box_path(1))
    assert one not in lost.owned()


def test_nobody_is_attached_to_a_bridge_whose_leases_are_lost(lost: Network, box: Callable[[int], Box]) -> None:
    """Its addresses may be in use; once the containers are gone it is made anew."""
    three = box(3)
    with pytest.raises(ConflictError, match="cmanager gc"):
        attach(lost, three)
    assert lost.owned() == {container_id(1), container_id(2)}
    for id in lost.owned():
        run(f"ip link delete cm{id[:13]}")
    lost.detach(container_id(1), "")
    attach(lost, three)
    assert lost.owned() == {three.id}
    lost.detach(three.id, three.path)
    assert list(links()) == ["lo"]


def test_another_root_never_claims_them(lost: Network, tmp_path: Path) -> None:
    """Or its `gc` would cut off the containers of this one."""
    other = make("bridge", tmp_path / "other")
    before = traces()
    assert other.owned() == frozenset()
    other.detach(container_id(1), "")  # what nobody knows is gone
    assert traces()["tables"] == before["tables"]
    assert "cmanager0" in links()


# -- published ports ----------------------------------------------------------------------------------------------


def nft(*arguments: str) -> str:
    return subprocess.run(["nft", *arguments], capture_output=True, text=True, check=True).stdout


def test_a_port_is_one_element_and_no_rule(bridge: Network, box: Callable[[int], Box]) -> None:
    one, two = box(1), box(2)
    attach(bridge, two)
    rules = nft("-s", "list", "chains")
    before = nft("list", "table", "ip", "cmanager_cmanager0")
    bridge.attach(one.id, one.path, published(PortMapping("", 8080, 80), PortMapping("127.0.0.1", 8081, 80)))
    assert nft("list", "table", "ip", "cmanager_cmanager0").count(one.id) == 2
    assert nft("-s", "list", "chains") == rules
    bridge.detach(one.id, one.path)
    assert nft("list", "table", "ip", "cmanager_cmanager0") == before
    bridge.detach(two.id, two.path)


@pytest.mark.parametrize("setting", ["0", "1"])
def test_hairpin_with_and_without_br_netfilter(bridge: Network, box: Callable[[int], Box], setting: str) -> None:
    """Where it is loaded, bridged packets pass the rules too, and never reach the host's routing."""
    one, two = box(1), box(2)
    netfilter = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if netfilter.exists():
        netfilter.write_text(setting, encoding="ascii")
    elif setting == "1":
        pytest.skip("the module br_netfilter is not loaded")
    address = bridge.attach(one.id, one.path, published(PortMapping("", 8080, 80))).addresses[0].partition("/")[0]
    attach(bridge, two)
    for client in (one.path, two.path):
        assert reach(one.path, client, address, 80, via=("10.88.0.1", 8080))
    for each in (one, two):
        bridge.detach(each.id, each.path)


def test_the_loopback_is_routed_only_where_a_port_asks_for_it(bridge: Network, box: Callable[[int], Box]) -> None:
    one, two = box(1), box(2)
    routed = Path("/proc/sys/net/ipv4/conf/cmanager0/route_localnet")
    bridge.attach(one.id, one.path, ENDPOINT)
    assert routed.read_text(encoding="ascii") == "0\n"
    bridge.attach(two.id, two.path, published(PortMapping("127.0.0.1", 8080, 80)))
    assert routed.read_text(encoding="ascii") == "1\n"
    for other in ("all", "default", "lo"):
        assert Path(f"/proc/sys/net/ipv4/conf/{other}/route_localnet").read_text(encoding="ascii") == "0\n"
    for each in (one, two):
        bridge.detach(each.id, each.path)


def test_who_sent_before_reaches_the_next_container(bridge: Network, box: Callable[[int], Box], elsewhere: str) -> None:
    """UDP has no end: a socket that goes on sending follows the port from nobody to one container and to the next."""
    boxes, seen = [box(1), box(2)], []
    run(f"nsenter --net={elsewhere} ip route add default via 192.0.2.1")
    with netns.entered(elsewhere):
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    attach(bridge, box(3))  # so that the table stays
    with asking:
        asking.settimeout(1)
        for one in boxes:
            with suppress(OSError):
                asking.sendto(b"too early", ("192.0.2.1", 5300))
                asking.recv(100)
            bridge.attach(one.id, one.path, published(PortMapping("", 5300, 53, "udp")))
            with netns.entered(one.path):
                answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with answering:
                answering.settimeout(2)
                answering.bind(("0.0.0.0", 53))
                asking.sendto(one.id.encode(), ("192.0.2.1", 5300))
                seen.append(answering.recv(100).decode())
            bridge.detach(one.id, one.path)
    assert seen == [one.id for one in boxes]
    bridge.detach(container_id(3), "")


def test_a_flushed_table_is_told(bridge: Network, box: Callable[[int], Box]) -> None:
    """Attach says what happened, and nothing is left of it."""
    one, two = box(1), box(2)
    attach(bridge, two)
    run("nft flush ruleset")
    with pytest.raises(UnsupportedError, match="table of network bridge is gone"):
        bridge.attach(one.id, one.path, published(PortMapping("", 8080, 80)))
    assert bridge.owned() == {two.id}
    bridge.detach(two.id, two.path)


def test_no_ipv6(bridge: Network) -> None:
    assert isinstance(bridge, Publish)
    with pytest.raises(UnsupportedError, match=r"\[::1\]: network bridge has no IPv6, give an IPv4 address"):
        bridge.check_ports((PortMapping("::1", 80, 80),), now=False)


# -- packets ------------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(host: None, tmp_path: Path) -> Iterator[str]:
    """Namespace of a machine behind the host, 192.0.2.2, that knows no way back to the containers."""
    with another_host(str(tmp_path / "elsewhere")) as path:
        run(f"nsenter --net={path} ip route delete default")
        yield path


def test_out_through_nat(bridge: Network, box: Callable[[int], Box], elsewhere: str) -> None:
    """A container reaches what the host reaches, which sees the host."""
    one = box(1)
    attach(bridge, one)
    assert reach(elsewhere, one.path, "192.0.2.2") == "192.0.2.1"
    bridge.detach(one.id, one.path)


def test_the_host_itself(bridge: Network, box: Callable[[int], Box]) -> None:
    """Host and container reach each other, without NAT."""
    one = box(1)
    address = attach(bridge, one)
    assert reach("", one.path, "10.88.0.1") == address
    assert reach(one.path, "", address) == "10.88.0.1"
    bridge.detach(one.id, one.path)


def test_nobody_comes_in_unasked(bridge: Network, box: Callable[[int], Box], elsewhere: str) -> None:
    """Not even a neighbour of the host who sends to the container's address through it."""
    one = box(1)
    address = attach(bridge, one)
    run(f"nsenter --net={elsewhere} ip route add 10.88.0.0/16 via 192.0.2.1")

    def knock() -> bool:
        with suppress(TimeoutError), socket.create_connection((address, listener.getsockname()[1]), timeout=1):
            return True
        return False

    with netns.entered(one.path):
        listener = socket.create_server((address, 0))
    with listener:
        assert within(elsewhere, knock) is False
        run("nft flush chain ip cmanager_cmanager0 forward")
        assert within(elsewhere, knock) is True, "it was our rules that kept it out"
    bridge.detach(one.id, one.path)


# -- what the kernel and the host refuse --------------------------------------------------------------------------


def test_a_full_bridge(bridge: Network, box: Callable[[int], Box]) -> None:
    """The kernel gives a bridge 1023 ports; the container that would be next leaves nothing behind."""
    one, two = box(1), box(2)
    attach(bridge, one)
    # Both ends of a pair on the bridge, down: 1022 ports in half a second.
    pairs = [(f"a{number}", f"b{number}") for number in range(511)]
    run_batch([f"link add {a} master cmanager0 type veth peer name {b}" for a, b in pairs])
    run_batch([f"link set {b} master cmanager0" for _, b in pairs])
    before = traces()
    with pytest.raises(ExhaustedError, match="bridge cmanager0 has all its 1023 ports in use, remove containers"):
        attach(bridge, two)
    assert traces() == before
    assert bridge.owned() == {one.id}
    run("ip link delete a0")
    attach(bridge, two)
    for each in (one, two):
        bridge.detach(each.id, each.path)


def test_without_nft(bridge: Network, box: Callable[[int], Box], monkeypatch: pytest.MonkeyPatch) -> None:
    """The text names the package, and nothing is left; detach still works."""
    one, before = box(1), traces()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nonexistent")
        with pytest.raises(UnsupportedError, match="install the package nftables or use --network none"):
            attach(bridge, one)
        bridge.detach(one.id, one.path)
    assert traces() == before
    assert bridge.owned() == frozenset()


def test_a_namespace_that_has_an_eth0(bridge: Network, box: Callable[[int], Box]) -> None:
    one = box(1)
    run(f"nsenter --net={one.path} ip link add eth0 type veth peer name eth1")
    before = traces()
    with pytest.raises(HostError, match="file exists"):
        attach(bridge, one)
    assert traces() == before
    assert bridge.owned() == frozenset()


def test_its_directories_are_private(bridge: Network, box: Callable[[int], Box], tmp_path: Path) -> None:
    one = box(1)
    attach(bridge, one)
    bridge.detach(one.id, one.path)
    found = [tmp_path / "run", *(path for path in (tmp_path / "run").rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o700}


def test_a_directory_that_cannot_be_made(host: None, box: Callable[[int], Box], tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    network = make("bridge", tmp_path / "run")
    one = box(1)
    for call in (lambda: attach(network, one), lambda: network.detach(one.id, one.path), network.owned):
        with pytest.raises(HostError, match=r"network cmanager0: not a directory \(errno 20\)|file exists"):
            call()
