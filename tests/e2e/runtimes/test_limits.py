"""Limits hold under every runtime, as the cgroup is the core's."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from cmanager.linux import cgroups

from ...disks import disk
from ...support import Cli, wait_until
from ..test_limits import cgroup, cpu_seconds, exists

#: With native its own files of tests say the same every day.
pytestmark = [pytest.mark.root, pytest.mark.everyday("runc", "lxc")]


def test_too_much_memory_is_death_and_told(cli: Cli) -> None:
    done = cli("run", "--name", "greedy", "-m", "64m", "busybox", "sh", "-c", "x=a; while :; do x=$x$x; done")
    assert done.returncode == 137
    state = cli.inspect("greedy")["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)
    assert cli.inspect("greedy")["Cmanager"]["Usage"]["MemoryPeakBytes"] > 32 << 20


def test_a_fork_bomb_ends_at_its_limit(cli: Cli) -> None:
    # Some runtimes have threads of their own there until the program runs, one keeps a process.
    script = "for i in $(seq 60); do sleep 5 & done; wait"
    done = cli("run", "--rm", "--pids-limit", "40", "busybox", "sh", "-c", script)
    assert "fork" in done.stderr


@pytest.mark.everyday("runc")
def test_shares_divide_a_processor_two_to_one(cli: Cli) -> None:
    ids = {}
    for shares in ("1024", "512"):
        options = ("--cpuset-cpus", "0", "--cpu-shares", shares)
        ids[shares] = cli.ok("run", "-d", *options, "busybox", "sh", "-c", "while :; do :; done")
    before = {shares: cpu_seconds(cli, id) for shares, id in ids.items()}
    time.sleep(3)
    used = {shares: cpu_seconds(cli, id) - before[shares] for shares, id in ids.items()}
    assert 1.6 <= used["1024"] / used["512"] <= 2.4, used


@pytest.mark.everyday("runc")
def test_every_limit_is_as_it_was_made_and_changes(cli: Cli, tmp_path: Path) -> None:
    """A runtime joins the cgroup; what it writes there itself must not undo a limit."""
    with disk(tmp_path) as node:
        options = [
            *("-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "-c", "512", "--pids-limit", "50"),
            *("--cpu-period", "50000", "--cpu-quota", "25000", "--cpuset-cpus", "0", "--cpuset-mems", "0"),
            *("--device-read-bps", f"{node}:1mb", "--device-write-iops", f"{node}:20"),
        ]
        cli.ok("run", "-d", "--name", "limited", *options, "busybox", "sleep", "1000")
        made = values(cli, "limited")
        cli.ok("update", "-m", "80m", "--memory-swap", "90m", "--cpu-quota", "10000", "-c", "1024", "limited")
        changed = values(cli, "limited")
        cli.ok("rm", "-f", "limited")
    assert {"67108864", "33554432", "50", "0"} <= made
    assert {str(80 << 20)} <= changed
    if "cpu.max" in made:
        assert {"25000 50000", "20", str(32 << 20)} <= made
        assert {"10000 50000", "39", str(10 << 20)} <= changed
    else:
        assert {"25000", "50000", "512", str(96 << 20)} <= made
        assert {"10000", "1024", str(90 << 20)} <= changed
    assert any("1048576" in value for value in changed)


def values(cli: Cli, name: str) -> set[str]:
    """What stands in the files of its cgroup, and "cpu.max" on v2."""
    found = set()
    for hierarchy in cgroups.hierarchies():
        for file in Path(hierarchy.path(cgroup(cli, name))).iterdir():
            if file.name.startswith(("cpu.", "cpuset.", "memory.", "pids.", "blkio.throttle", "io.max")):
                with suppress(OSError):  # some are write-only, some want a controller that is elsewhere
                    found.add(file.read_text().strip())
                found.update({file.name} & {"cpu.max"})
    return found


@pytest.mark.needs("capabilities", "devices", "exec")
def test_a_device_is_allowed_while_it_runs(cli: Cli) -> None:
    read = "mknod /dev/log c 1 11 2>/dev/null; head -c 1 /dev/log >/dev/null && echo read"
    cli.ok("run", "-d", "--name", "gets", "--cap-add", "SYSLOG", "busybox", "sleep", "1000")
    before = cli("exec", "gets", "sh", "-c", read).stdout
    cli.ok("update", "--device-cgroup-rule", "c 1:11 r", "gets")
    assert (before, cli.ok("exec", "gets", "sh", "-c", read)) == ("", "read")


def test_all_of_it_is_in_one_cgroup_that_goes_with_it(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "busybox", "sh", "-c", "sleep 1001 & exec sleep 1002")

    def programs() -> set[str]:
        return {row.split(None, 1)[1] for row in cli.ok("top", identity, "-o", "pid,args").splitlines()}

    wait_until(lambda: programs() >= {"sleep 1001", "sleep 1002"}, "both sleep")
    path = cgroup(cli, identity)
    with open(f"/proc/{cli.inspect(identity)['State']['Pid']}/cgroup", encoding="ascii") as file:
        places = {line.strip().split(":", 2)[2] for line in file}
    # A runtime may divide what it was given.
    assert [place for place in places if place != path and not place.startswith(f"{path}/")] == []
    cli.ok("kill", identity)
    cli.ok("wait", identity)
    wait_until(lambda: not exists(path), "its cgroups are gone")
