"""Limits: what a container gets of memory, processors and processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cmanager.linux import cgroups

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

_EATER = "x=a; while :; do x=$x$x; done"
_BURNER = "while :; do :; done"


def cpu_seconds(cli: Cli, identity: str) -> float:
    for hierarchy in cgroups.hierarchies():
        directory = hierarchy.path(cgroup(cli, identity))
        if "cpuacct" in hierarchy.controllers:
            with open(f"{directory}/cpuacct.usage", encoding="ascii") as file:
                return int(file.read()) / 1e9
        if hierarchy.version == 2 and "cpu" in hierarchy.controllers:
            with open(f"{directory}/cpu.stat", encoding="ascii") as file:
                return int(dict(line.split() for line in file)["usage_usec"]) / 1e6
    raise AssertionError("no hierarchy counts processor time")


def test_a_greedy_process_is_killed_and_that_is_told(cli: Cli) -> None:
    done = cli("run", "--name", "greedy", "-m", "64m", "busybox", "sh", "-c", _EATER)
    assert done.returncode == 137
    state = cli.inspect("greedy")["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)
    assert cli("run", "--name", "modest", "-m", "64m", "busybox", "true").returncode == 0
    assert cli.inspect("modest")["State"]["OOMKilled"] is False


def test_shares_divide_one_processor_two_to_one(cli: Cli) -> None:
    names = {"heavy": "1024", "light": "512"}
    ids = {}
    for name, shares in names.items():
        options = ("--cpuset-cpus", "0", "-c", shares)
        ids[name] = cli.ok("run", "-d", "--name", name, *options, "busybox", "sh", "-c", _BURNER)
    before = {name: cpu_seconds(cli, id) for name, id in ids.items()}
    time.sleep(6)
    used = {name: cpu_seconds(cli, id) - before[name] for name, id in ids.items()}
    assert 1.7 <= used["heavy"] / used["light"] <= 2.3, used


def test_alone_it_has_the_whole_processor(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--cpuset-cpus", "0", "-c", "512", "busybox", "sh", "-c", _BURNER)
    before, began = cpu_seconds(cli, identity), time.monotonic()
    time.sleep(4)
    share = (cpu_seconds(cli, identity) - before) / (time.monotonic() - began)
    # Other things run on this machine too; a share of a half would show as such.
    assert share > 0.75


def test_cpus_bound_what_it_uses(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--cpus", "0.25", "busybox", "sh", "-c", _BURNER)
    before, began = cpu_seconds(cli, identity), time.monotonic()
    time.sleep(3)
    share = (cpu_seconds(cli, identity) - before) / (time.monotonic() - began)
    assert 0.15 < share < 0.3


def test_a_fork_bomb_ends_at_its_limit(cli: Cli) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait"
    done = cli("run", "--rm", "--pids-limit", "6", "busybox", "sh", "-c", script)
    assert "fork" in done.stderr


def test_there_is_a_process_limit_by_default(cli: Cli) -> None:
    cli.ok("create", "--name", "bounded", "busybox", "true")
    assert cli.inspect("bounded")["HostConfig"]["PidsLimit"] == 2048


def test_cpuset_is_what_the_processes_see(cli: Cli) -> None:
    out = cli.ok("run", "--rm", "--cpuset-cpus", "0", "busybox", "grep", "Cpus_allowed_list", "/proc/self/status")
    assert out.split() == ["Cpus_allowed_list:", "0"]


def test_one_cgroup_per_container_named_by_its_id_and_gone_with_it(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--name", "grouped", "busybox", "sleep", "1000")
    with open(f"/proc/{cli.inspect('grouped')['State']['Pid']}/cgroup", encoding="ascii") as file:
        places = {line.strip().split(":", 2)[2] for line in file}
    path = cgroup(cli, identity)
    assert path.endswith(f"/{identity}")
    assert places == {path}
    cli.ok("kill", "grouped")
    cli.ok("wait", "grouped")
    wait_until(lambda: not exists(path), "its cgroups are gone")


def cgroup(cli: Cli, identity: str) -> str:
    found: str = cli.inspect(identity)["Cmanager"]["Cgroup"]
    return found


def exists(path: str) -> bool:
    return any(os.path.exists(hierarchy.path(path)) for hierarchy in cgroups.hierarchies())


def test_two_managers_on_one_host_never_meet(cli: Cli, tmp_path: Path) -> None:
    cli.ok("run", "-d", "--name", "safe", "busybox", "sleep", "1000")
    other = Cli(tmp_path / "root", tmp_path / "run")
    other.ok("gc")
    assert cli.inspect("safe")["State"]["Running"] is True
    other.ok("run", "--rm", "--network", "none", "busybox", "true")
    other.ok("gc")
    assert cli.inspect("safe")["State"]["Running"] is True
