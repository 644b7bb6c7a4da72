"""`--cgroup-parent`: a container below a cgroup that a person names, whose limits it shares with others there."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator

import pytest

from cmanager.linux import cgroups

from ..support import Cli, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def top() -> Iterator[str]:
    """The name of a cgroup that nobody has."""
    name = f"/cmanager-above-{os.getpid()}"
    yield name
    left = directories(name)
    for directory in left:
        os.rmdir(directory)
    assert left == []


def directories(path: str) -> list[str]:
    return [hierarchy.path(path) for hierarchy in cgroups.hierarchies() if os.path.isdir(hierarchy.path(path))]


def test_it_lies_there_in_every_hierarchy_and_what_was_made_goes_with_the_last(cli: Cli, top: str) -> None:
    for name, parent in (("deep", f"{top}/front"), ("flat", top.strip("/"))):
        cli.ok("run", "-d", "--name", name, "--cgroup-parent", parent, "busybox", "sleep", "1000")
    with open(f"/proc/{cli.inspect('deep')['State']['Pid']}/cgroup", encoding="ascii") as file:
        places = {line.strip().split(":", 2)[2] for line in file}
    assert places == {f"{top}/front/{cli.inspect('deep')['Id']}"}
    assert len(directories(f"{top}/front")) == len(cgroups.hierarchies())
    cli.ok("rm", "-f", "deep")
    assert (directories(f"{top}/front"), bool(directories(top))) == ([], True)
    cli.ok("rm", "-f", "flat")
    assert directories(top) == []


def test_limits_of_the_parent_hold_and_it_stays_when_a_person_made_it(cli: Cli, top: str) -> None:
    hierarchy = next(h for h in cgroups.hierarchies() if "pids" in h.controllers)
    directory = hierarchy.path(top)
    os.mkdir(directory)
    with open(f"{directory}/pids.max", "w", encoding="ascii") as file:
        file.write("6")
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done; wait"
    done = cli("run", "--rm", "--cgroup-parent", top, "busybox", "sh", "-c", script)
    assert "fork" in done.stderr
    assert directories(top) == [directory]
    os.rmdir(directory)


def test_it_is_frozen_limited_and_started_again_there(cli: Cli, top: str) -> None:
    cli.ok("run", "-d", "--name", "moved", "--cgroup-parent", top, "busybox", "sleep", "1000")
    cli.ok("pause", "moved")
    cli.ok("unpause", "moved")
    cli.ok("update", "--pids-limit", "3", "moved")
    assert "fork" in cli("exec", "moved", "sh", "-c", "sleep 1 & sleep 1 & sleep 1 & wait").stderr
    cli.ok("restart", "-t", "0", "moved")
    assert cli.inspect("moved")["Cmanager"]["Cgroup"].startswith(f"{top}/")
    cli.ok("rm", "-f", "moved")


@pytest.mark.slow
def test_gc_finds_it_when_nobody_else_knows_of_it(cli: Cli, top: str) -> None:
    identity = cli.ok("run", "-d", "--name", "lost", "--cgroup-parent", top, "busybox", "sleep", "1000")
    supervisor = cli.supervisor("lost")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{supervisor}"), "its supervisor is gone")
    # As after a crash that took the record: what is left is the cgroup, and what the limiter wrote down.
    shutil.rmtree(cli.root / "containers" / identity)
    shutil.rmtree(cli.run_root / "containers" / identity)
    (cli.root / "names/lost").unlink()
    assert directories(f"{top}/{identity}")
    assert identity[:12] in cli.ok("gc")
    assert directories(top) == []
