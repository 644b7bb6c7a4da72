"""`--network-rate`: how fast a container receives and sends."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

_SERVE = (
    "while :; do nc -l -p 5000 -e sh -c 'head -c 2000000 /dev/zero'; done & while :; do nc -l -p 5001 -e wc -c; done"
)


def connected(address: str, port: int) -> socket.socket:
    """A connection to a program that is about to listen."""
    found: list[socket.socket] = []

    def connects() -> bool:
        try:
            found.append(socket.create_connection((address, port), timeout=30))
        except OSError:
            return False
        return True

    wait_until(connects, f"port {port} answers")
    return found[0]


def received(cli: Cli, name: str, size: int = 2_000_000) -> float:
    """Bytes a second that a container receives."""
    with connected(cli.inspect(name)["NetworkSettings"]["IPAddress"], 5001) as peer:
        began = time.monotonic()
        peer.sendall(bytes(size))
        peer.shutdown(socket.SHUT_WR)
        assert int(peer.recv(100)) == size
        return size / (time.monotonic() - began)


def sent(cli: Cli, name: str) -> float:
    """Bytes a second that a container sends."""
    with connected(cli.inspect(name)["NetworkSettings"]["IPAddress"], 5000) as peer:
        began, size = time.monotonic(), 0
        while more := peer.recv(1 << 16):
            size += len(more)
        return size / (time.monotonic() - began)


def test_both_ways_are_as_fast_as_was_asked_for(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "slow", "--network-rate", "16mbit", "busybox", "sh", "-c", _SERVE)
    assert 1.8e6 <= received(cli, "slow") <= 2.2e6
    assert 1.8e6 <= sent(cli, "slow") <= 2.2e6
    cli.ok("update", "--network-rate", "receive=8m", "slow")
    assert cli.inspect("slow")["HostConfig"]["NetworkRate"] == {"Receive": 8 << 20, "Send": 2_000_000}
    cli.ok("update", "--network-rate", "send=0", "slow")
    assert 6e6 <= received(cli, "slow", 8_000_000) <= 9.3e6
    assert sent(cli, "slow") > 12e6
    assert cli.inspect("slow")["HostConfig"]["NetworkRate"] == {"Receive": 8 << 20, "Send": 0}
    cli.ok("rm", "-f", "slow")
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert " ci" not in links


def test_a_shared_network_is_bounded_where_it_was_made(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "first", "busybox", "sleep", "1000")
    done = cli("run", "--network", "container:first", "--network-rate", "1m", "busybox", "true")
    assert done.returncode == 125
    assert "is shared" in done.stderr


@pytest.mark.slow
def test_it_holds_again_after_a_restart(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "again", "--network-rate", "receive=16mbit", "busybox", "sh", "-c", _SERVE)
    cli.ok("restart", "-t", "0", "again")
    assert 1.8e6 <= received(cli, "again") <= 2.2e6
