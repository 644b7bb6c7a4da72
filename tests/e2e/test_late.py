"""What is given back when everybody has been told that a container has ended: its link and its network namespace."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def slow(cli: Cli, tmp_path: Path) -> Iterator[None]:
    """The program nft, which takes its time to remove the bridge's table: so long does the last of an end last."""
    nft = subprocess.run(["sh", "-c", "command -v nft"], capture_output=True, text=True, check=True).stdout.strip()
    place = tmp_path / "bin"
    place.mkdir()
    slow = 'case "$input" in *"delete table"*) sleep 0.5;; esac'
    script = f'#!/bin/sh\ninput=$(cat)\n{slow}\necho "$input" | exec {nft} "$@"\n'
    (place / "nft").write_text(script)
    (place / "nft").chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{place}:{path}"
    yield
    os.environ["PATH"] = path
    cli.settle(5)


def run(cli: Cli, *words: str) -> float:
    """Run it to its end as a person does; returns the seconds that takes."""
    began = time.monotonic()
    done = subprocess.run([*cli.command, "run", *words], env=cli.environment, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
    return time.monotonic() - began


def pinned(cli: Cli) -> list[str]:
    return os.listdir(cli.run_root / "netns")


@pytest.mark.usefixtures("slow")
def test_a_container_that_removes_itself_is_gone_before_its_link(cli: Cli) -> None:
    run(cli, "--rm", "--name", "quick", "busybox", "true")
    assert len(pinned(cli)) == 1
    assert cli.names() == []
    run(cli, "--rm", "--name", "quick", "busybox", "true")
    cli.settle(5)
    assert pinned(cli) == []


@pytest.mark.usefixtures("slow")
def test_with_published_ports_the_link_goes_first(cli: Cli) -> None:
    for _ in range(2):
        run(cli, "--rm", "-p", "127.0.0.1:18080:80", "busybox", "true")
        assert pinned(cli) == []


@pytest.mark.usefixtures("slow")
def test_who_starts_it_again_waits_for_it(cli: Cli) -> None:
    run(cli, "--name", "again", "busybox", "true")
    assert len(pinned(cli)) == 1
    assert subprocess.run([*cli.command, "start", "-a", "again"], env=cli.environment, check=False).returncode == 0
    cli.settle(5)
    assert cli.inspect("again")["State"]["Error"] == ""
    cli.ok("rm", "again")
    assert pinned(cli) == []


@pytest.mark.usefixtures("slow")
def test_a_death_in_that_moment_leaves_what_gc_finds(cli: Cli) -> None:
    run(cli, "--rm", "busybox", "true")
    (id,) = pinned(cli)
    for supervisor in supervisors(cli):
        os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: supervisors(cli) == [], "it is dead")
    assert pinned(cli) == [id]
    cli.ok("gc")
    assert pinned(cli) == []


def supervisors(cli: Cli) -> list[int]:
    """Processes that work on this state directory."""
    mark = f"CMANAGER_RUN_ROOT={cli.run_root}".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in environment and int(pid) != os.getpid():
            found.append(int(pid))
    return found
