"""Limits on a host with nothing but cgroup v2, as its kernel shows them. `tests/vm/run` boots one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmanager.linux import cgroups

from ..support import Cli, wait_until

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def unified() -> Path:
    """Where the one hierarchy is mounted."""
    found = cgroups.hierarchies()
    if [hierarchy.version for hierarchy in found] != [2]:
        pytest.skip("this host has cgroup v1, alone or beside v2: run tests/vm/run")
    return Path(found[0].mountpoint)


@pytest.fixture
def limited(cli: Cli, unified: Path) -> Iterator[Path]:
    """The cgroup of a running container with every limit."""
    options = ("-m", "64m", "--cpus", "0.5", "-c", "512", "--pids-limit", "7", "--cpuset-cpus", "1")
    cli.ok("run", "-d", "--name", "limited", *options, "busybox", "sleep", "1000")
    yield Path(f"{unified}{cli.inspect('limited')['Cmanager']['Cgroup']}")
    cli.ok("rm", "-f", "limited")


def test_every_limit_reaches_its_file(limited: Path) -> None:
    expected = {
        "memory.max": str(64 << 20),
        "memory.swap.max": str(64 << 20),
        "cpu.max": "50000 100000",
        "cpu.weight": "50",
        "pids.max": "7",
        "cpuset.cpus.effective": "1",
        "pids.current": "1",
    }
    assert {name: (limited / name).read_text().strip() for name in expected} == expected


def test_the_parent_hands_down_no_more_than_is_used(limited: Path) -> None:
    handed = (limited.parent / "cgroup.subtree_control").read_text().split()
    assert sorted(handed) == ["cpu", "cpuset", "io", "memory", "pids"]
    assert (limited.parent / "cgroup.procs").read_text() == ""


def test_inside_there_is_its_own_cgroup_alone_and_read_only(cli: Cli) -> None:
    script = """
    cat /proc/self/cgroup /sys/fs/cgroup/memory.max
    mkdir /sys/fs/cgroup/mine 2>/dev/null || echo refused
    ls -d /sys/fs/cgroup/*/ 2>/dev/null
    true
    """
    assert cli.ok("run", "--rm", "-m", "64m", "busybox", "sh", "-c", script).split() == [
        "0::/",
        str(64 << 20),
        "refused",
    ]


def test_what_is_swapped_out_is_bounded_too(cli: Cli) -> None:
    if len(Path("/proc/swaps").read_text().splitlines()) < 2:
        pytest.skip("this host has no swap")
    script = "mount -t tmpfs -o size=400m tmpfs /mnt; head -c {}m /dev/zero > /mnt/file"
    options = ("--privileged", "-m", "64m")
    assert cli("run", "--rm", *options, "busybox", "sh", "-c", script.format(100)).returncode == 0
    over = cli("run", "--name", "over", *options, "busybox", "sh", "-c", script.format(200))
    assert over.returncode == 137
    assert cli.inspect("over")["State"]["OOMKilled"] is True


def test_a_device_list_is_a_program_on_the_cgroup(cli: Cli) -> None:
    log = ("--cap-add", "SYSLOG")  # without, the kernel's log refuses by itself where kernel.dmesg_restrict is on
    script = ": < /dev/mine && echo opened; echo x > /dev/mine"
    done = cli("run", "--rm", *log, "--device", "/dev/kmsg:/dev/mine:r", "busybox", "sh", "-c", script)
    assert done.stdout.strip() == "opened"
    assert "not permitted" in done.stderr
    script = "mknod /dev/other c 1 11 && : < /dev/other && echo opened"
    assert "opened" not in cli("run", "--rm", *log, "busybox", "sh", "-c", script).stdout
    assert cli.ok("run", "--rm", "--privileged", "busybox", "sh", "-c", script) == "opened"


def test_cgroups_that_a_container_makes_go_with_it(cli: Cli, unified: Path) -> None:
    script = "mkdir -p /sys/fs/cgroup/a/b && echo 1 > /sys/fs/cgroup/a/b/cgroup.procs && sleep 1000"
    identity = cli.ok("run", "-d", "--name", "maker", "--privileged", "busybox", "sh", "-c", script)
    path = Path(f"{unified}{cli.inspect('maker')['Cmanager']['Cgroup']}")
    wait_until(lambda: (path / "a/b").exists() and (path / "a/b/cgroup.procs").read_text(), "it has moved")
    cli.ok("kill", "maker")
    cli.ok("wait", "maker")
    wait_until(lambda: not path.exists(), "its cgroups are gone")
    assert not [name for name in os.listdir(path.parent) if name == identity]


def test_all_that_was_used_is_kept(cli: Cli) -> None:
    cli.ok("run", "--name", "user", "busybox", "sh", "-c", "head -c 8m /dev/zero | tail -c 8m | wc -c")
    usage = cli.inspect("user")["Cmanager"]["Usage"]
    assert usage["CpuSeconds"] > 0
    assert usage["MemoryPeakBytes"] > 8 << 20
    assert usage["OOMKills"] == 0
