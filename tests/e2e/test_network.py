"""Networks: reaching each other, reaching out, and sharing."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from cmanager.linux import syscalls

from ..support import Cli, wait_until

pytestmark = pytest.mark.root


def address(cli: Cli, name: str) -> str:
    found: str = cli.inspect(name)["NetworkSettings"]["IPAddress"]
    return found


def serve(cli: Cli, name: str, *options: str) -> None:
    script = "while :; do echo from $(hostname) | nc -l -p 7000; done"
    cli.ok("run", "-d", "--name", name, "--hostname", f"host-{name}", *options, "busybox", "sh", "-c", script)
    probe = ("run", "--rm", "--network", f"container:{name}", "busybox", "netstat", "-ltn")
    wait_until(lambda: ":7000" in cli.ok(*probe), "it listens")


def ask(cli: Cli, target: str, *options: str, port: int = 7000) -> str:
    return cli.ok("run", "--rm", *options, "busybox", "nc", "-w", "5", target, str(port), stdin="")


def test_two_containers_reach_each_other_by_address(cli: Cli) -> None:
    serve(cli, "server")
    assert ask(cli, address(cli, "server")) == "from host-server"


@pytest.mark.parametrize("word", ["server", "host-server"])
def test_and_by_name(cli: Cli, word: str) -> None:
    serve(cli, "server")
    assert ask(cli, word) == "from host-server"


def test_a_name_is_known_to_containers_that_were_there_before(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "early", "busybox", "sleep", "1000")
    cli.ok("run", "-d", "--name", "late", "busybox", "sleep", "1000")
    hosts = ("run", "--rm", "--pid", "container:early", "--cap-add", "SYS_PTRACE", "--network", "container:early")
    assert f"{address(cli, 'late')}\t" in cli.ok(*hosts, "busybox", "cat", "/etc/hosts")
    cli.ok("rm", "-f", "late")
    assert "late" not in cli.ok(*hosts, "busybox", "cat", "/etc/hosts")


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A host behind a link of its own: only NAT leads there and back, as it knows no route to the containers."""
    subprocess.run(["ip", "netns", "add", "elsewhere"], check=True)
    try:
        for command in (
            "ip link add toward type veth peer name back netns elsewhere",
            "ip address add 192.0.2.1/30 dev toward",
            "ip link set toward up",
            "ip -n elsewhere address add 192.0.2.2/30 dev back",
            "ip -n elsewhere link set back up",
        ):
            subprocess.run(command.split(), check=True)
        yield "192.0.2.2"
    finally:
        subprocess.run(["ip", "netns", "delete", "elsewhere"], check=True)
        subprocess.run(["ip", "link", "delete", "toward"], check=False, capture_output=True)


def test_a_container_reaches_a_listener_elsewhere_through_nat(cli: Cli, elsewhere: str) -> None:
    seen: list[str] = []

    def listen(listener: socket.socket) -> None:
        connection, peer = listener.accept()
        seen.append(peer[0])
        connection.sendall(b"from elsewhere\n")
        connection.close()

    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/elsewhere", os.O_RDONLY)
    syscalls.setns(there, syscalls.CLONE_NEWNET)
    listener = socket.create_server((elsewhere, 7000))
    syscalls.setns(here, syscalls.CLONE_NEWNET)
    os.close(here)
    os.close(there)
    thread = threading.Thread(target=listen, args=(listener,), daemon=True)
    thread.start()
    assert ask(cli, elsewhere) == "from elsewhere"
    thread.join(5)
    listener.close()
    assert seen == ["192.0.2.1"]


def test_sharing_a_network_is_one_loopback(cli: Cli) -> None:
    serve(cli, "server")
    assert ask(cli, "127.0.0.1", "--network", "container:server") == "from host-server"


def test_none_has_a_loopback_that_works_and_nothing_else(cli: Cli) -> None:
    script = "(echo here | nc -l -p 7000 &) ; sleep 0.3; nc -w 2 127.0.0.1 7000; ip route | wc -l"
    assert cli.ok("run", "--rm", "--network", "none", "busybox", "sh", "-c", script).split() == ["here", "0"]


def test_dns_and_hosts_entries(cli: Cli) -> None:
    options = ("--dns", "192.0.2.53", "--add-host", "db:192.0.2.7", "--add-host", "gw:host-gateway")
    out = cli.ok("run", "--rm", *options, "busybox", "cat", "/etc/resolv.conf", "/etc/hosts")
    assert "nameserver 192.0.2.53" in out
    assert "192.0.2.7\tdb" in out
    assert any(line.endswith("\tgw") for line in out.splitlines())


def test_the_last_container_takes_bridge_and_rules_with_it(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "last", "busybox", "sleep", "1000")
    assert "cmanager0" in subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    cli.ok("rm", "-f", "last")
    assert "cmanager0" not in subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    assert "cmanager" not in tables


def test_a_full_pool_is_refused_and_leaves_nothing(cli: Cli, tmp_path: object) -> None:
    import pathlib

    config = pathlib.Path(str(tmp_path)) / "plugins.toml"
    config.write_text('[network.bridge]\nsubnet = "10.99.0.0/30"\nname = "cmtiny0"\n')
    small = Cli(cli.root, cli.run_root, config)
    small.ok("run", "-d", "--name", "only", "busybox", "sleep", "1000")
    full = small("run", "--rm", "--name", "surplus", "busybox", "true")
    assert full.returncode == 125
    assert "10.99.0.0/30" in full.stderr
    assert small.names() == ["only"]
    small.ok("rm", "-f", "only")
