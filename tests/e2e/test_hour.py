"""A person's hour: a web server from its image to its last trace, as one story."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmanager.testing.ports import HOST, another_host, within

from ..console import console
from ..support import Cli, Snapshot, wait_until

pytestmark = [pytest.mark.root, pytest.mark.alone]


class Person:
    """Types commands and reads what comes; no answer may be a fault of the manager's own."""

    def __init__(self, cli: Cli, network: str) -> None:
        self._cli, self._network = cli, network

    def does(self, *words: str) -> str:
        """Type a command that works; its answer."""
        return self._types(0, *words).stdout.removesuffix("\n")

    def tries(self, code: int, *words: str) -> str:
        """Type a command that ends with this code; what it complains of."""
        return self._types(code, *words).stderr

    def _types(self, code: int, *words: str) -> subprocess.CompletedProcess[str]:
        done = self._cli(*words)
        assert "internal error" not in done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == code, f"{words}: {done.stderr}"
        return done

    def waits(self, *words: str, until: str) -> None:
        """Look again and again until something is said."""
        wait_until(lambda: until in self.does(*words), f"{words} says {until}")

    def fetches(self, port: int, page: str = "/") -> str:
        """Open a page of this host's, from another one."""

        def browse() -> str:
            with socket.create_connection((HOST, port), timeout=5) as connection:
                connection.sendall(f"GET {page} HTTP/1.0\r\n\r\n".encode())
                answer = b""
                while chunk := connection.recv(4096):
                    answer += chunk
            return answer.decode()

        answer = str(within(self._network, browse))
        head, _, body = answer.partition("\r\n\r\n")
        return body if " 200 " in head else head


@pytest.fixture
def own(tmp_path: Path, registry: Path) -> Iterator[Cli]:
    """A fresh installation."""
    cli = Cli(tmp_path / "root", tmp_path / "run")
    yield cli
    cli("rm", "-af")
    cli("gc")


def test_an_hour(own: Cli, tmp_path: Path) -> None:
    before = Snapshot.take()
    with another_host(str(tmp_path / "elsewhere")) as network:
        spend_it(own, Person(own, network), tmp_path)
    left = Snapshot.take().beyond(before)
    # The limiter keeps its own, empty cgroup, none of a container's.
    assert [path for path in left.pop("cgroups", []) if re.search("/[0-9a-f]{64}", path)] == []
    assert left == {}


def spend_it(cli: Cli, she: Person, desk: Path) -> None:
    # She looks around, and finds a server in the smallest image.
    assert "busybox" in she.does("registry", "ls")
    assert "Downloaded newer image for busybox:latest" in she.does("pull", "busybox")
    assert "httpd" in she.does("run", "--rm", "busybox", "busybox", "--list").split()

    # A mistake on the way is told in a line.
    assert "--memory" in she.tries(125, "run", "-d", "-m", "lots", "busybox")
    assert "did you mean 'run'" in she.tries(1, "rnu", "busybox")

    # She runs it, and sees it from another machine.
    serve = "mkdir -p /www; echo first > /www/index.html; exec httpd -f -vv -p 80 -h /www"
    options = ("--init", "-p", "8080:80", "-m", "64m", "--restart", "on-failure", "-l", "tier=web")
    she.does("run", "-d", "--name", "web", *options, "busybox", "sh", "-c", serve)
    assert she.does("port", "web", "80") == "0.0.0.0:8080"
    she.waits("exec", "web", "netstat", "-ltn", until=":80 ")
    assert she.fetches(8080) == "first\n"
    assert "0.0.0.0:8080->80/tcp" in she.does("ps", "--filter", "publish=8080")
    assert "8080" in she.tries(125, "run", "--rm", "-p", "8080:80", "busybox")

    # She looks inside, from a terminal.
    with console(cli, "exec", "-it", "web", "sh") as screen:
        screen.line("hostname; exit 3")
        screen.see(cli.inspect("web")["Id"][:12])
        assert screen.wait() == 3
    assert "httpd" in she.does("top", "web")

    # The log tells who asked.
    assert "404 Not Found" in she.fetches(8080, "/missing")
    wait_until(lambda: "url:/missing" in she.tries(0, "logs", "web"), "the log tells of it")

    # She writes a better page, and keeps it.
    page = desk / "index.html"
    page.write_text("second\n")
    she.does("cp", "-q", str(page), "web:/www/index.html")
    assert she.fetches(8080) == "second\n"
    assert "A /www/index.html" in she.does("diff", "web").splitlines()
    she.does("commit", "-m", "a better page", "-c", 'CMD ["httpd", "-f", "-p", "80", "-h", "/www"]', "web", "pages:2")
    assert "pages" in she.does("images")
    she.does("run", "-d", "--name", "next", "--init", "-p", "8081:80", "pages:2")
    she.waits("exec", "next", "netstat", "-ltn", until=":80 ")
    assert she.fetches(8081) == "second\n"
    assert she.fetches(8080) == "second\n"

    # The server dies, and comes back by itself at the same place.
    she.does("exec", "web", "killall", "-9", "httpd")
    she.waits("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "web", until="1 running")
    she.waits("exec", "web", "netstat", "-ltn", until=":80 ")
    assert she.fetches(8080) == "first\n"

    # She holds it up for a while, and gives it more room.
    she.does("pause", "web")
    assert "(Paused)" in she.does("ps", "--filter", "name=web")
    assert "unpause" in she.tries(125, "exec", "web", "true")
    she.does("unpause", "web")
    she.does("update", "-m", "96m", "web")
    assert cli.inspect("web")["HostConfig"]["Memory"] == 96 << 20
    assert she.fetches(8080) == "first\n"
    she.does("rename", "web", "old")

    # What has been happening?
    lines = she.does("events", "--since", "10m", "--until", "0s", "--filter", "type=container", "--format", "json")
    told = [event for event in map(json.loads, lines.splitlines()) if event["id"] == cli.inspect("old")["Id"]]
    actions = [event["Action"].partition(":")[0] for event in told]
    for action in (
        "create",
        "start",
        "exec_start",
        "exec_die",
        "commit",
        "die",
        "pause",
        "unpause",
        "update",
        "rename",
    ):
        assert action in actions
    assert actions.count("start") == 2

    # Enough. The old one goes, then everything that is not in use.
    assert "use -f" in she.tries(1, "rm", "old")
    she.does("stop", "old")
    assert "Total reclaimed space" in she.does("container", "prune", "-f")
    assert she.does("ps", "-a", "--format", "{{.Names}}") == "next"
    assert she.fetches(8081) == "second\n"
    she.does("rm", "-f", "next")
    assert re.search(r"deleted: sha256:", she.does("system", "prune", "-a", "-f"))
    assert she.does("images", "-q") == ""
    assert [row.split()[1] for row in she.does("system", "df", "--noheading").splitlines()[:2]] == ["0", "0"]
    she.does("gc")
