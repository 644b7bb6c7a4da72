"""Published ports, as a user has them: what `-p` and `-P` give, show, refuse and take back."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cmanager.linux import sockets
from cmanager.testing.images import digest_of
from cmanager.testing.ports import HOST, another_host, within

from ..support import Cli, Snapshot, wait_until

pytestmark = pytest.mark.root

#: Answers each connection to port 80 with its host name.
SERVER = ("busybox", "sh", "-c", "while :; do echo from $(hostname) | nc -l -p 80; done")


def serve(cli: Cli, name: str, *options: str) -> None:
    cli.ok("run", "-d", "--name", name, "--hostname", f"host-{name}", *options, *SERVER)
    probe = ("run", "--rm", "--network", f"container:{name}", "busybox", "netstat", "-ltn")
    wait_until(lambda: ":80 " in cli.ok(*probe), "it listens")


def ask(address: str, port: int, client: str = "") -> str:
    """What answers at address and port, "" when nothing does. client: path of the namespace that asks."""

    def connect() -> str:
        try:
            with socket.create_connection((address, port), timeout=2) as connection:
                return connection.recv(100).decode().strip()
        except OSError:
            return ""

    return str(within(client, connect))


def answer(address: str, port: int, client: str = "") -> str:
    """The same where something should: the server is away for a moment between two connections."""
    got: list[str] = []
    wait_until(lambda: got.append(ask(address, port, client)) or got[-1], f"{address}:{port} answers {client}")
    return got[-1]


def elements() -> list[str]:
    """Ids in the comments of all published ports."""
    done = subprocess.run(["nft", "list", "maps"], capture_output=True, text=True, check=True)
    return re.findall(r'comment "([0-9a-f]{64})"', done.stdout)


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[str]:
    """Another host."""
    with another_host(str(tmp_path / "beside")) as path:
        yield path


def test_a_published_port_is_reached_from_everywhere(cli: Cli, beside: str) -> None:
    serve(cli, "web", "-p", "8080:80")
    assert answer(HOST, 8080, beside) == "from host-web"
    assert answer(HOST, 8080) == "from host-web"
    assert answer("127.0.0.1", 8080) == "from host-web"
    for sibling in ("bridge", "container:web"):
        asking = partial(cli, "run", "--rm", "--network", sibling, "busybox", "nc", "-w", "5", HOST, "8080")
        wait_until(lambda asking=asking: asking().stdout == "from host-web\n", f"it answers {sibling}")


def test_nobody_needs_a_proxy(cli: Cli, beside: str) -> None:
    serve(cli, "web", "-p", "8080:80")
    found = subprocess.run(["ss", "-Hltn", "sport = :8080"], capture_output=True, text=True, check=True).stdout
    assert found == "", "no socket of the host listens"
    assert answer(HOST, 8080, beside) == "from host-web"


def test_on_the_loopback_it_is_the_hosts_alone(cli: Cli, beside: str) -> None:
    serve(cli, "web", "-p", "127.0.0.1:8080:80")
    address = cli.inspect("web")["NetworkSettings"]["IPAddress"]
    assert answer("127.0.0.1", 8080) == "from host-web"
    for target, port in ((HOST, 8080), (address, 8080), (address, 80), (HOST, 80)):
        assert ask(target, port, beside) == "", (target, port)
    assert cli("run", "--rm", "busybox", "nc", "-w", "2", HOST, "8080").returncode == 1


def test_how_it_is_shown(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "web", "-p", "127.0.0.1:8080:80", "-p", "9000:90/udp", "--expose", "443", *SERVER)
    line = "443/tcp, 127.0.0.1:8080->80/tcp, 0.0.0.0:9000->90/udp"
    assert cli.ok("ps", "--format", "{{.Ports}}") == line
    assert cli.ok("port", "web") == "80/tcp -> 127.0.0.1:8080\n90/udp -> 0.0.0.0:9000"
    assert cli.ok("port", "web", "80") == cli.ok("port", "web", "80/tcp") == "127.0.0.1:8080"
    found = cli.inspect("web")
    bound = {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "90/udp": [{"HostIp": "0.0.0.0", "HostPort": "9000"}],
    }
    assert found["NetworkSettings"]["Ports"] == {**bound, "443/tcp": None}
    assert found["HostConfig"]["PortBindings"] == {**bound, "90/udp": [{"HostIp": "", "HostPort": "9000"}]}
    assert set(found["Config"]["ExposedPorts"]) == {"80/tcp", "90/udp", "443/tcp"}
    template = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'
    assert cli.ok("inspect", "-f", template, "web") == "8080"
    for wanted, filters in (
        ("web", ["publish=8080"]),
        ("web", ["expose=443"]),
        ("", ["publish=80"]),
        ("", ["expose=1"]),
    ):
        assert cli.ok("ps", "--format", "{{.Names}}", *(f"--filter={text}" for text in filters)) == wanted


def test_port_of_what_is_not_published_or_not_there(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "web", "-p", "8080:80", *SERVER)
    for arguments, text in (
        (("port", "web", "81"), "no public port '81/tcp' published for web"),
        (("port", "nobody"), "no such container"),
    ):
        done = cli(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert text in done.stderr
    assert cli("port", "web", "http").returncode == 125


def test_ranges(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "web", "-p", "8000-8002:80-82", "-p", "8002-8004:90", *SERVER)
    assert cli.ok("port", "web").splitlines() == [
        "80/tcp -> 0.0.0.0:8000",
        "81/tcp -> 0.0.0.0:8001",
        "82/tcp -> 0.0.0.0:8002",
        "90/tcp -> 0.0.0.0:8003",
    ]
    assert elements() == [cli.inspect("web")["Id"]] * 4, "one element a port"


def test_free_ports_are_in_the_ephemeral_range(cli: Cli) -> None:
    serve(cli, "web", "-p", "80", "-p", "127.0.0.1::80")
    first, second = (place.rpartition(":") for place in cli.ok("port", "web", "80").splitlines())
    assert (first[0], second[0]) == ("0.0.0.0", "127.0.0.1")
    assert {int(first[2]), int(second[2])} <= set(sockets.ephemeral())
    assert answer("127.0.0.1", int(second[2])) == "from host-web"


def exposing(layout: Path, *ports: str) -> None:
    """Let the one image of an OCI layout expose ports."""

    def changed(entry: dict[str, Any], **more: Any) -> None:
        document = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())
        document["config"] = {**document["config"], **more}
        content = json.dumps(document).encode()
        entry |= {"digest": digest_of(content), "size": len(content)}
        (blobs / entry["digest"].removeprefix("sha256:")).write_bytes(content)

    blobs, index = layout / "blobs/sha256", json.loads((layout / "index.json").read_text())
    (top,) = index["manifests"]
    entry = json.loads((blobs / top["digest"].removeprefix("sha256:")).read_text())["config"]
    changed(entry, ExposedPorts={port: {} for port in ports})
    changed(top, **entry)
    (layout / "index.json").write_text(json.dumps(index))


def test_publish_all_takes_what_image_and_command_line_expose(cli: Cli, registry: Path, tmp_path: Path) -> None:
    shutil.copytree(registry / "busybox", tmp_path / "registry/exposing")
    exposing(tmp_path / "registry/exposing", "80/tcp", "53/udp")
    config = tmp_path / "plugins.toml"
    config.write_text(f'[image.layers]\nregistry = "{tmp_path}/registry"\n')
    other = Cli(cli.root, cli.run_root, config)
    other.ok("run", "-d", "--name", "all", "-P", "--expose", "81", "-p", "8080:80", "exposing", "sleep", "1000")
    found = other.inspect("all")
    assert found["HostConfig"]["PublishAllPorts"] is True
    assert set(found["HostConfig"]["PortBindings"]) == {"80/tcp"}
    ports = {inside: int(bound[0]["HostPort"]) for inside, bound in found["NetworkSettings"]["Ports"].items()}
    assert set(ports) == {"53/udp", "80/tcp", "81/tcp"}
    assert ports["80/tcp"] == 8080
    assert {ports["53/udp"], ports["81/tcp"]} <= set(sockets.ephemeral())
    other.ok("rm", "-f", "all")
    other.ok("rmi", "-f", "exposing")


@pytest.mark.alone
@pytest.mark.parametrize("detached", [(), ("-d",)])
def test_a_port_of_another_container_is_refused_before_anything_is_made(cli: Cli, detached: tuple[str, ...]) -> None:
    serve(cli, "web", "-p", "8080:80")
    before, holder = Snapshot.take(), cli.inspect("web")["Id"][:12]
    for ports in (["-p", "8080:80"], ["-p", "127.0.0.1:8080:80"], ["-p", "80", "-p", "8079-8080:80-81"]):
        done = cli("run", *detached, "--name", "late", *ports, *SERVER)
        assert done.returncode == 125
        assert "8080/tcp is taken by container" in done.stderr
        assert holder in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert cli.names() == ["web"], "not even a record"
    assert Snapshot.take().beyond(before) == {}
    assert len(elements()) == 1


def test_a_port_of_a_process_is_refused_before_anything_is_made(cli: Cli, unchanged: None) -> None:
    with socket.create_server(("0.0.0.0", 8080)):
        done = cli("run", "-d", "--name", "late", "-p", "8080:80", *SERVER)
    assert done.returncode == 125
    assert f"port 0.0.0.0:8080/tcp is taken by process {os.getpid()} (" in done.stderr
    assert cli.names() == []


def test_create_does_not_claim_and_start_does(cli: Cli) -> None:
    serve(cli, "web", "-p", "8080:80")
    cli.ok("create", "--name", "late", "-p", "8080:80", *SERVER)
    assert cli.inspect("late")["NetworkSettings"]["Ports"] == {}
    refused = cli("start", "late")
    assert "8080/tcp is taken by container" in refused.stderr
    assert cli.inspect("late")["State"]["Status"] == "created"
    cli.ok("rm", "-f", "web")
    cli.ok("start", "late")
    assert cli.ok("port", "late") == "80/tcp -> 0.0.0.0:8080"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("-p", "[::1]:8080:80"), "no IPv6"),
        (("-p", "8080:80/sctp"), "tcp and udp ports only"),
        (("-p", "203.0.113.7:8080:80"), "no link of this host has that address"),
        (("-p", "8080:80", "-p", "8080:81"), "published twice"),
        (("-p", "8080"), ""),
        (("-p", "8080:80", "--network", "host"), "network host cannot publish ports"),
        (("-P", "--network", "none"), "network none cannot publish ports"),
        (("-p", "8080:80", "--network", "container:web"), "is shared"),
        (("-p", "8080:"), "invalid --publish '8080:'"),
        (("--expose", "http"), "invalid --expose 'http'"),
    ],
)
def test_what_cannot_be_published_is_refused_in_one_line(cli: Cli, options: tuple[str, ...], text: str) -> None:
    if not text:
        cli.ok("run", "--rm", *options, "busybox", "true")
        return
    done = cli("run", "--name", "never", *options, *SERVER)
    assert (done.returncode, len(done.stderr.splitlines())) == (125, 1)
    assert text in done.stderr
    assert cli.names() == []


def test_ports_are_released_on_stop_and_taken_again(cli: Cli) -> None:
    serve(cli, "web", "-p", "8080:80", "-p", "81")
    before = cli.ok("port", "web")
    cli.ok("stop", "-t", "0", "web")
    assert elements() == []
    assert cli.ok("port", "web") == cli.ok("ps", "-a", "--format", "{{.Ports}}") == ""
    with socket.create_server(("0.0.0.0", 8080)):
        assert "8080/tcp is taken by process" in cli("start", "web").stderr
    cli.ok("start", "web")
    after = cli.ok("port", "web")
    assert after.splitlines()[0] == before.splitlines()[0] == "80/tcp -> 0.0.0.0:8080"
    assert after.splitlines()[1].startswith("81/tcp -> 0.0.0.0:")


def test_a_dead_supervisors_ports_are_given_back(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "stays", "-p", "8081:80", *SERVER)
    cli.ok("run", "-d", "--name", "dies", "-p", "8080:80", *SERVER)
    kill_supervisor(cli, "dies")
    assert len(elements()) == 2
    cli.ok("gc")
    assert elements() == [cli.inspect("stays")["Id"]]


def test_whoever_wants_the_port_of_the_dead_gets_it(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "stays", "-p", "8081:80", *SERVER)
    cli.ok("run", "-d", "--name", "dies", "-p", "8080:80", *SERVER)
    kill_supervisor(cli, "dies")
    serve(cli, "heir", "-p", "8080:80")
    assert answer("127.0.0.1", 8080) == "from host-heir"
    assert cli.inspect("dies")["State"]["ExitCode"] == 137


def kill_supervisor(cli: Cli, name: str) -> None:
    id = cli.inspect(name)["Id"]
    status = json.loads((cli.root / f"containers/{id}/status.json").read_text())
    os.kill(status["supervisor"]["pid"], signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{status['supervisor']['pid']}"), "its supervisor is gone")


def test_tables_of_others_stay_as_they_are(cli: Cli) -> None:
    script = "table ip theirs { chain forward { type filter hook forward priority 0; policy accept; counter; }; }"
    subprocess.run(["nft", script], check=True)
    try:
        listing = ["nft", "-s", "list", "table", "ip", "theirs"]
        before = subprocess.run(listing, capture_output=True, check=True).stdout
        for _ in range(3):
            cli.ok("run", "--rm", "-p", "8080:80", "busybox", "true")
        assert subprocess.run(listing, capture_output=True, check=True).stdout == before
    finally:
        subprocess.run(["nft", "delete", "table", "ip", "theirs"], check=True)


def test_explain_tells_what_is_published(cli: Cli, unchanged: None) -> None:
    assert "publish 0.0.0.0:8080 for 80/tcp" in cli.ok("explain", "run", "-p", "8080:80", "busybox")
    with socket.create_server(("0.0.0.0", 8080)):
        assert cli("explain", "run", "-p", "8080:80", "busybox").returncode == 125
