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


@pytest.mark.slow
def test_without_swap_of_its_own_what_it_shares_counts_too(cli: Cli) -> None:
    options = ("-m", "200m", "--memory-swap", "200m", "--shm-size", "400m")
    script = "head -c {}m /dev/zero > /dev/shm/file"
    assert cli("run", "--rm", *options, "busybox", "sh", "-c", script.format(150)).returncode == 0
    done = cli("run", "--name", "over", *options, "busybox", "sh", "-c", script.format(210))
    assert done.returncode == 137
    assert cli.inspect("over")["State"]["OOMKilled"] is True


def test_memory_and_swap_together_have_a_bound_of_their_own(cli: Cli) -> None:
    if len(Path("/proc/swaps").read_text().splitlines()) < 2:
        pytest.skip("this host has no swap: run tests/vm/run")
    options = ("-m", "200m", "--memory-swap", "300m", "--shm-size", "400m")
    script = "head -c {}m /dev/zero > /dev/shm/file"
    done = cli("run", "--rm", *options, "busybox", "sh", "-c", script.format(280))
    if done.returncode == 125 and "this kernel has none" in done.stderr:
        pytest.skip(done.stderr)  # the kernel does not account for it
    assert done.returncode == 0
    done = cli("run", "--name", "over", *options, "busybox", "sh", "-c", script.format(320))
    assert done.returncode == 137
    assert cli.inspect("over")["State"]["OOMKilled"] is True


def test_what_must_not_be_killed_waits_for_memory(cli: Cli) -> None:
    memory = next(h for h in cgroups.hierarchies() if "memory" in h.controllers)
    if memory.version == 2:
        pytest.skip("cgroup v2 has no memory.oom_control")
    script = "awk 'BEGIN { for (i = 0; i < 600000; i++) a[i] = i; print i }'"
    cli.ok("run", "-d", "--name", "waits", "-m", "32m", "--oom-kill-disable", "busybox", "sh", "-c", script)
    control = Path(memory.path(cgroup(cli, "waits")), "memory.oom_control")
    wait_until(lambda: "under_oom 1" in control.read_text(), "it is out of memory")
    assert cli.inspect("waits")["State"]["Running"] is True
    cli.ok("update", "-m", "512m", "waits")
    assert cli.ok("wait", "waits") == "0"
    assert cli.ok("logs", "waits") == "600000"


def test_memory_is_raised_and_lowered_while_it_runs(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "grows", "-m", "64m", "--shm-size", "400m", "busybox", "sleep", "1000")
    fill = ("exec", "grows", "sh", "-c", "head -c 100m /dev/zero > /dev/shm/file && rm /dev/shm/file")
    cli.ok("update", "-m", "256m", "grows")
    cli.ok(*fill)
    cli.ok("exec", "grows", "sh", "-c", "head -c 100m /dev/zero > /dev/shm/file")
    refused = cli("update", "-m", "64m", "grows")
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)
    cli.ok("exec", "grows", "rm", "/dev/shm/file")
    cli.ok("update", "-m", "64m", "--memory-swap", "64m", "grows")
    assert cli(*fill).returncode == 137


@pytest.mark.alone
def test_shares_divide_one_processor_and_who_is_alone_has_all_of_it(cli: Cli) -> None:
    names = burning(cli, heavy="1024", light="512")
    used = shares_of(cli, 2.5, *names)
    assert 1.7 <= used["heavy"] / used["light"] <= 2.3, used
    cli.ok("kill", "heavy")
    # Other things run on this machine too; a share of two thirds would show as such.
    assert shares_of(cli, 1.5, "light")["light"] > 0.85


@pytest.mark.slow
@pytest.mark.alone
def test_shares_change_while_it_runs(cli: Cli) -> None:
    names = burning(cli, first="1024", second="512")
    cli.ok("update", "-c", "2048", "second")
    used = shares_of(cli, 2.5, *names)
    assert 1.6 <= used["second"] / used["first"] <= 2.4, used


def burning(cli: Cli, **shares: str) -> list[str]:
    """Containers that compute on one processor, by name."""
    for name, share in shares.items():
        options = ("--cpuset-cpus", "0", "-c", share)
        cli.ok("run", "-d", "--name", name, *options, "busybox", "sh", "-c", _BURNER)
    return list(shares)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("half", "tenth"),
    [
        ("--cpus 0.5", "--cpus 0.1"),
        pytest.param("--cpu-period 50000 --cpu-quota 25000", "--cpu-quota 5000", marks=pytest.mark.slow),
    ],
)
def test_half_a_processor_is_half_and_a_tenth_later_on_a_tenth(cli: Cli, half: str, tenth: str) -> None:
    cli.ok("run", "-d", "--name", "half", *half.split(), "busybox", "sh", "-c", _BURNER)
    assert 0.45 <= shares_of(cli, 2, "half")["half"] <= 0.55
    assert throttled(cli, "half") > 0
    cli.ok("update", *tenth.split(), "half")
    assert shares_of(cli, 1, "half")["half"] <= 0.15


@pytest.mark.slow
@pytest.mark.alone
def test_more_and_less_of_a_processor_while_it_runs(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "changed", "--cpus", "0.2", "--cpu-burst", "1000", "busybox", "sh", "-c", _BURNER)
    cli.ok("update", "--cpus", "0.6", "--cpu-burst", "50000", "changed")
    assert 0.5 <= shares_of(cli, 1.5, "changed")["changed"] <= 0.75
    # What may be saved up is above the new quota, for a moment.
    cli.ok("update", "--cpus", "0.1", "--cpu-burst", "0", "changed")
    time.sleep(0.2)
    assert shares_of(cli, 1.5, "changed")["changed"] <= 0.15


def shares_of(cli: Cli, seconds: float, *names: str) -> dict[str, float]:
    """What each uses of one processor."""
    ids = {name: cli.inspect(name)["Id"] for name in names}
    before, began = {name: cpu_seconds(cli, id) for name, id in ids.items()}, time.monotonic()
    time.sleep(seconds)
    after, took = {name: cpu_seconds(cli, id) for name, id in ids.items()}, time.monotonic() - began
    return {name: (after[name] - before[name]) / took for name in names}


def throttled(cli: Cli, name: str) -> int:
    """How often it had to wait for its next period."""
    cpu = next(h for h in cgroups.hierarchies() if "cpu" in h.controllers)
    text = Path(cpu.path(cgroup(cli, name)), "cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["nr_throttled"])


def test_there_is_a_process_limit_by_default(cli: Cli) -> None:
    cli.ok("create", "--name", "bounded", "busybox", "true")
    assert cli.inspect("bounded")["HostConfig"]["PidsLimit"] == 2048


def test_cpuset_is_what_the_processes_see(cli: Cli) -> None:
    out = cli.ok("run", "--rm", "--cpuset-cpus", "0", "busybox", "grep", "Cpus_allowed_list", "/proc/self/status")
    assert out.split() == ["Cpus_allowed_list:", "0"]


def test_memory_nodes_are_what_the_processes_see(cli: Cli) -> None:
    out = cli.ok("run", "--rm", "--cpuset-mems", "0", "busybox", "grep", "Mems_allowed_list", "/proc/self/status")
    assert out.split() == ["Mems_allowed_list:", "0"]


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
