"""The verbs that change a container that exists."""

from __future__ import annotations

import json
import shlex

import pytest

from cmanager.linux import cgroups

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

_TICKER = "i=0; while :; do i=$((i+1)); echo $i > /tick; sleep 0.02; done"


def state(cli: Cli, name: str) -> str:
    found: str = cli.inspect(name)["State"]["Status"]
    return found


def tick(cli: Cli, pid: int) -> int:
    with open(f"/proc/{pid}/root/tick", encoding="ascii") as file:
        return int(file.read() or 0)


def cpu_seconds(cli: Cli, name: str) -> float:
    (row,) = json.loads(cli.ok("stats", "--no-stream", "--output", "json", name))["items"]
    found: float = row["usage"]["cpu_seconds"]
    return found


def test_pausing_freezes_every_process_and_unpausing_lets_them_go_on(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "ticker", "busybox", "sh", "-c", _TICKER)
    pid = cli.inspect("ticker")["State"]["Pid"]
    wait_until(lambda: tick(cli, pid) > 0, "it ticks")
    assert cli.ok("pause", "ticker") == "ticker"
    assert state(cli, "ticker") == "paused"
    assert "(Paused)" in cli.ok("ps", "--filter", "status=paused")
    before, used = tick(cli, pid), cpu_seconds(cli, "ticker")
    cli.ok("ps")
    assert (tick(cli, pid), cpu_seconds(cli, "ticker")) == (before, used)
    assert cli("pause", "ticker").returncode == 1
    refused = cli("exec", "ticker", "true")
    assert refused.returncode == 125
    assert "unpause" in refused.stderr
    assert cli.ok("unpause", "ticker") == "ticker"
    wait_until(lambda: tick(cli, pid) > before, "it ticks again")
    refused = cli("unpause", "ticker")
    assert refused.returncode == 1
    assert "not paused" in refused.stderr


@pytest.mark.parametrize("verb", [("stop", "-t", "0"), ("kill",), ("rm", "-f"), ("restart", "-t", "0")])
def test_a_paused_container_can_be_ended(cli: Cli, verb: tuple[str, ...]) -> None:
    cli.ok("run", "-d", "--name", "cold", "busybox", "sleep", "1000")
    cli.ok("pause", "cold")
    cli.ok(*verb, "cold")
    if verb[0] == "kill":
        assert cli.ok("wait", "cold") == "137"
    if verb[0] != "rm":
        assert state(cli, "cold") == ("running" if verb[0] == "restart" else "exited")


def test_restarting_keeps_files_and_starts_what_is_stopped(cli: Cli) -> None:
    script = "echo life >> /lives; cat /lives; sleep 1000"
    cli.ok("run", "-d", "--name", "again", "busybox", "sh", "-c", script)
    first = cli.inspect("again")["State"]["Pid"]
    assert cli.ok("restart", "-t", "0", "again") == "again"
    assert cli.inspect("again")["State"]["Pid"] not in (0, first)
    cli.ok("kill", "again")
    cli.ok("wait", "again")
    cli.ok("restart", "again")
    wait_until(lambda: cli.ok("logs", "again").count("life") == 6, "three lives have told of all before them")
    assert cli("restart", "nobody").returncode == 1


def test_a_new_name_takes_the_place_of_the_old(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--name", "old", "busybox", "sleep", "1000")
    cli.ok("create", "--name", "taken", "busybox")
    assert cli.ok("rename", "old", "new") == ""
    assert cli.inspect("new")["Id"] == identity
    assert cli("inspect", "old").returncode == 1
    for name, code in (("taken", 125), ("new", 125), ("-bad", 125), ("a b", 125)):
        assert cli("rename", "--", "new", name).returncode == code, name
    cli.ok("create", "--name", "old", "busybox")
    cli.ok("stop", "-t", "0", "new")
    cli.ok("rm", "new")
    cli.ok("create", "--name", "new", "busybox")


def test_a_renamed_container_that_removes_itself_frees_its_name(cli: Cli) -> None:
    cli.ok("run", "-d", "--rm", "--name", "before", "busybox", "sleep", "1000")
    cli.ok("rename", "before", "after")
    cli.ok("kill", "after")
    wait_until(lambda: cli.names() == [], "it is gone")
    assert cli.ok("run", "--rm", "--name", "after", "busybox", "echo", "free") == "free"


def test_limits_change_while_it_runs_and_last(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "elastic", "-m", "64m", "busybox", "sleep", "1000")
    cli.ok("update", "-m", "96m", "--pids-limit", "77", "--cpus", "0.5", "-c", "512", "elastic")
    found = cli.inspect("elastic")
    assert found["HostConfig"]["Memory"] == 96 << 20
    assert (found["HostConfig"]["PidsLimit"], found["HostConfig"]["CpuShares"]) == (77, 512)
    assert limit(found["Cmanager"]["Cgroup"], "pids", "pids.max") == "77"
    cli.ok("restart", "-t", "0", "elastic")
    assert limit(cli.inspect("elastic")["Cmanager"]["Cgroup"], "pids", "pids.max") == "77"


def limit(cgroup: str, controller: str, file: str) -> str:
    (hierarchy,) = [h for h in cgroups.hierarchies() if controller in h.controllers]
    with open(f"{hierarchy.path(cgroup)}/{file}", encoding="ascii") as opened:
        return opened.read().strip()


def test_an_update_that_cannot_be_is_refused_and_changes_nothing(cli: Cli) -> None:
    holder = "head -c 30000000 /dev/zero > /dev/shm/held; sleep 1000"
    cli.ok("run", "-d", "--name", "holder", "-m", "128m", "busybox", "sh", "-c", holder)
    held = ("exec", "holder", "sh", "-c", "test $(stat -c %s /dev/shm/held) = 30000000")
    wait_until(lambda: cli(*held).returncode == 0, "it holds memory")
    refused = cli("update", "-m", "8m", "holder")
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    for words in (("--pids-limit", "0"), ("-m", "1"), ("--restart", "sometimes"), ("--cpuset-cpus", "9999")):
        assert cli("update", *words, "holder").returncode in (1, 125), words
    assert cli("update", "holder").returncode == 125
    assert cli.inspect("holder")["HostConfig"]["Memory"] == 128 << 20


def test_top_shows_its_processes_and_nobody_elses(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "busy", "busybox", "sh", "-c", "sleep 1001 & exec sleep 1002")
    wait_until(lambda: cli.ok("top", "busy").count(" sleep 100") == 2, "both sleep")
    title, *rows = cli.ok("top", "busy", "-o", "pid,args").splitlines()
    assert title.split() == ["PID", "COMMAND"]
    assert sorted(row.split(None, 1)[1] for row in rows) == ["sleep 1001", "sleep 1002"]
    assert cli("top", "busy", "-o", "args").returncode == 125
    assert cli("top", "busy", "--nonsense").returncode == 125
    cli.ok("kill", "busy")
    cli.ok("wait", "busy")
    assert cli("top", "busy").returncode == 125


def test_everything_that_was_done_is_an_event(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "told", "busybox", "sleep", "1000")
    for command in (
        ("pause", "told"),
        ("unpause", "told"),
        ("update", "-c", "512", "told"),
        ("rename", "told", "then"),
    ):
        cli.ok(*command)
    cli.ok("exec", "then", "true")
    cli.ok("restart", "-t", "0", "then")
    lines = cli.ok("events", "--since", "1m", "--until", "0s", "--format", "json").splitlines()
    actions = [
        event["Action"]
        for event in map(json.loads, lines)
        if event["Actor"]["Attributes"].get("name") in ("told", "then")
    ]
    before = "create start pause unpause update rename exec_create:\\ true exec_start:\\ true"
    assert actions == [*shlex.split(before), "exec_die", "kill", "kill", "die", "stop", "start", "restart"]
