"""Restart policies: who is started again by itself, how soon, and who is not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root


def restarts(cli: Cli, name: str) -> int:
    found: int = cli.inspect(name)["RestartCount"]
    return found


def test_a_failure_is_tried_again_so_often_and_no_more(cli: Cli) -> None:
    script = "echo try; exit 3"
    cli.ok("run", "-d", "--name", "failing", "--restart", "on-failure:2", "busybox", "sh", "-c", script)
    assert cli.ok("wait", "failing") == "3"
    assert restarts(cli, "failing") == 2
    assert cli.ok("logs", "failing").split() == ["try"] * 3
    assert cli.inspect("failing")["State"]["Status"] == "exited"


def test_success_is_no_failure(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "fine", "--restart", "on-failure", "busybox", "true")
    assert cli.ok("wait", "fine") == "0"
    assert restarts(cli, "fine") == 0


def test_always_means_also_after_success_and_the_same_address_stays(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "steady", "--restart", "always", "busybox", "sh", "-c", "sleep 0.2")
    address = cli.inspect("steady")["NetworkSettings"]["IPAddress"]
    wait_until(lambda: restarts(cli, "steady") >= 2, "it was started twice more")
    assert cli.inspect("steady")["NetworkSettings"]["IPAddress"] == address
    cli.ok("stop", "steady")
    assert cli.inspect("steady")["State"]["Running"] is False
    count = restarts(cli, "steady")
    cli.ok("ps")
    assert restarts(cli, "steady") == count


def test_the_wait_doubles_and_a_stop_ends_it_at_once(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "storm", "--restart", "always", "busybox", "false")
    wait_until(lambda: cli.inspect("storm")["RestartCount"] >= 4, "it has failed some times")
    wait_until(lambda: cli.inspect("storm")["State"]["Restarting"] is True, "it waits")
    words = ("ps", "--filter", "name=storm", "--format", "{{.Status}}")
    wait_until(lambda: cli.ok(*words).startswith("Restarting (1)"), "ps says so too, unless it lives just then")
    cli.ok("stop", "storm")
    state = cli.inspect("storm")["State"]
    assert (state["Status"], state["Restarting"], state["ExitCode"]) == ("exited", False, 1)


@pytest.mark.parametrize("verb", [("kill",), ("rm", "-f")])
def test_who_kills_it_means_it(cli: Cli, verb: tuple[str, ...]) -> None:
    cli.ok("run", "-d", "--name", "marked", "--restart", "always", "busybox", "sleep", "1000")
    cli.ok(*verb, "marked")
    if verb[0] == "kill":
        assert cli.ok("wait", "marked") == "137"
        assert restarts(cli, "marked") == 0
    else:
        assert cli.names() == []


def test_death_from_within_is_not_wanted(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "hit", "--restart", "unless-stopped", "busybox", "sleep", "1000")
    os.kill(cli.inspect("hit")["State"]["Pid"], 9)
    wait_until(lambda: restarts(cli, "hit") == 1 and cli.inspect("hit")["State"]["Pid"], "it runs again")


def test_a_policy_can_be_changed_while_it_runs(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "turned", "busybox", "sh", "-c", "while ! test -e /go; do sleep 0.05; done; exit 1")
    cli.ok("update", "--restart", "on-failure:1", "turned")
    cli.ok("exec", "turned", "touch", "/go")
    assert cli.ok("wait", "turned") == "1"
    assert restarts(cli, "turned") == 1
    assert cli.inspect("turned")["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 1}


def test_a_start_that_cannot_be_repeated_ends_it(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_text("#!/bin/sh\nexit 1\n")
    source.chmod(0o755)
    mount = f"type=bind,source={tmp_path},target=/there"
    cli.ok("run", "-d", "--name", "broken", "--restart", "always", "--mount", mount, "busybox", "/there/program")
    source.unlink()
    assert cli.ok("wait", "broken") == "127"
    assert "/there/program" in cli.inspect("broken")["State"]["Error"]


def test_words_that_are_no_policy_are_refused(cli: Cli) -> None:
    for policy in ("sometimes", "on-failure:x", "always:3", "on-failure:-1", ""):
        refused = cli("run", "-d", "--restart", policy, "busybox", "true")
        assert refused.returncode == 125, policy
        assert "--restart" in refused.stderr
    assert cli("run", "--rm", "--restart", "always", "busybox", "true").returncode == 125
    assert cli.names() == []


def test_the_host_that_was_restarted_owes_them_a_start(tmp_path: Path, cli: Cli) -> None:
    other = Cli(tmp_path / "root", tmp_path / "run")
    quiet = ("--network", "none")
    for name, policy in (("a", "always"), ("u", "unless-stopped"), ("f", "on-failure"), ("n", "no")):
        other.ok("run", "-d", "--name", name, "--restart", policy, *quiet, "busybox", "sleep", "1000")
    for name, policy in (("sa", "always"), ("su", "unless-stopped")):
        other.ok("run", "-d", "--name", name, "--restart", policy, *quiet, "busybox", "sleep", "1000")
        other.ok("stop", "-t", "0", name)
    reboot(other)
    assert other.inspect("u")["State"]["Status"] == "exited"
    started = other.ok("start", "--all-restartable").split()
    names = {other.inspect(id)["Name"] for id in started}
    assert names == {"/a", "/u", "/f", "/sa"}
    assert other.ok("ps", "--format", "{{.Names}}").split().sort() == ["a", "f", "sa", "u"].sort()
    other.ok("rm", "-fa")
    other.ok("gc")


def reboot(cli: Cli) -> None:
    """What a reboot leaves: no process, no tmpfs, and another boot id."""
    for path in (cli.root / "containers").iterdir():
        status = json.loads((path / "status.json").read_text())
        for role in ("supervisor", "init"):
            if role in status:
                os.kill(status[role]["pid"], 9)
                wait_until(lambda pid=status[role]["pid"]: not alive(pid), "it is gone")  # type: ignore[misc]
                status[role]["boot"] = "another"
        status["boot"] = "another"
        (path / "status.json").write_text(json.dumps(status))
    for path in (cli.run_root / "netns").iterdir():
        os.system(f"umount {path}")  # noqa: S605
    shutil.rmtree(cli.run_root)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
