"""The network namespace and the address are the core's, whichever runtime joins them."""

from __future__ import annotations

import os

import pytest

from ...support import Cli
from .matrix import Case, Runtime, check, own

#: With native its own files of tests say the same every day.
pytestmark = [pytest.mark.root, pytest.mark.everyday("runc", "lxc")]

_FACTS = (
    "readlink /proc/self/ns/net; ip -o -4 address show eth0 | awk '{print $4}'; ip route | awk '/default/ {print $3}'"
)


NETWORKS = {
    "bridge": Case(("--network", "bridge"), "echo $(ls /sys/class/net)", "eth0 lo", needs=("network",)),
    "none": Case(("--network", "none"), "echo $(ls /sys/class/net)", "lo", needs=("network",)),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_by_its_name(cli: Cli, runtime: Runtime, network: str) -> None:
    check(cli, runtime, NETWORKS[network])


def test_the_hosts_network(cli: Cli, runtime: Runtime) -> None:
    check(cli, runtime, Case(("--network", "host"), own("net"), "shared"))


@pytest.mark.needs("network")
def test_namespace_and_address_are_those_that_inspect_tells(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "it", "--ip", "10.88.7.7", "busybox", "sh", "-c", f"{_FACTS}; sleep 1000")
    settings = cli.inspect("it")["NetworkSettings"]
    pinned = f"net:[{os.stat(settings['SandboxKey']).st_ino}]"
    assert os.readlink(f"/proc/{cli.inspect('it')['State']['Pid']}/ns/net") == pinned
    told = [pinned, f"{settings['IPAddress']}/{settings['IPPrefixLen']}", settings["Gateway"]]
    assert settings["IPAddress"] == "10.88.7.7"
    assert cli.ok("logs", "it").splitlines() == told
    cli.ok("restart", "-t", "0", "it")
    assert cli.inspect("it")["NetworkSettings"]["IPAddress"] == "10.88.7.7"


@pytest.mark.needs("network")
def test_it_shares_with_and_reaches_what_another_runtime_made(machine: Cli, cli: Cli) -> None:
    served = "while :; do echo from $(hostname) | nc -l -p 7000; done"
    machine.ok("run", "-d", "--name", "server", "--hostname", "far", "busybox", "sh", "-c", served)
    ask = "for i in 1 2 3 4 5; do nc -w 5 {} 7000 && break; sleep 0.2; done"
    for options, name in (((), "server"), (("--network", "container:server"), "127.0.0.1")):
        assert cli.ok("run", "--rm", *options, "busybox", "sh", "-c", ask.format(name)) == "from far", name
    cli.ok("run", "-d", "--name", "near", "busybox", "sleep", "1000")
    assert machine.ok("run", "--rm", "busybox", "sh", "-c", "ping -c 1 -W 5 near | grep -c ttl") == "1"


@pytest.mark.needs("network")
def test_its_files_of_names(cli: Cli) -> None:
    options = ("--dns", "192.0.2.53", "--add-host", "db:192.0.2.7")
    out = cli.ok("run", "--rm", *options, "busybox", "cat", "/etc/resolv.conf", "/etc/hosts")
    assert "nameserver 192.0.2.53" in out
    assert "192.0.2.7\tdb" in out
