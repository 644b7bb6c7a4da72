"""Limits hold under every runtime, as the cgroup is the core's."""

from __future__ import annotations

import time

import pytest

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
