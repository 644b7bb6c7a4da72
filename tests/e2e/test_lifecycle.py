"""The verbs: what each does to a container in each state."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root


def test_created_started_stopped_removed(cli: Cli) -> None:
    identity = cli.ok("create", "--name", "life", "busybox", "sh", "-c", "echo alive; sleep 1000")
    assert cli.inspect("life")["State"]["Status"] == "created"
    assert cli.ok("start", "life") == "life"
    assert cli.inspect("life")["State"]["Status"] == "running"
    assert cli.ok("kill", "life") == "life"
    assert cli.ok("wait", "life") == "137"
    state = cli.inspect(identity[:12])["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 137, 0)
    assert cli.ok("start", "life") == "life"
    assert cli.inspect("life")["State"]["Status"] == "running"
    refused = cli("rm", "life")
    assert refused.returncode == 1
    assert "-f" in refused.stderr
    assert cli.ok("rm", "-f", "life") == "life"
    assert cli("rm", "life").returncode == 1
    assert cli("rm", "-f", "life").returncode == 0


def test_a_stopped_container_keeps_its_files(cli: Cli) -> None:
    cli.ok("run", "--name", "keeper", "busybox", "sh", "-c", "cat /kept 2>/dev/null; echo more >> /kept")
    cli.ok("start", "keeper")
    cli.ok("wait", "keeper")
    assert cli.ok("start", "-a", "keeper").count("more") == 2


def test_start_attached_returns_the_code(cli: Cli) -> None:
    cli.ok("create", "--name", "again", "-i", "busybox", "sh", "-c", "cat; exit 9")
    done = cli("start", "-a", "-i", "again", stdin="heard")
    assert (done.returncode, done.stdout) == (9, "heard")


def test_stop_asks_first_and_kills_later(cli: Cli) -> None:
    polite = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    cli.ok("run", "-d", "--name", "polite", "busybox", "sh", "-c", polite)
    wait_until(lambda: cli.ok("logs", "polite") == "ready", "its trap is set")
    cli.ok("stop", "polite")
    assert cli.ok("wait", "polite") == "5"
    cli.ok("run", "-d", "--name", "deaf", "busybox", "sleep", "1000")
    done = cli("stop", "-t", "1", "deaf")
    assert done.returncode == 0
    assert "--init" in done.stderr
    assert cli.ok("wait", "deaf") == "137"


def test_stop_signal_of_ones_own(cli: Cli) -> None:
    script = "trap 'exit 6' USR2; echo ready; while :; do sleep 0.05; done"
    cli.ok("run", "-d", "--name", "special", "--stop-signal", "USR2", "busybox", "sh", "-c", script)
    wait_until(lambda: cli.ok("logs", "special") == "ready", "its trap is set")
    cli.ok("stop", "special")
    assert cli.ok("wait", "special") == "6"


def test_wait_takes_several_and_prints_each_code(cli: Cli) -> None:
    for code in ("3", "4"):
        cli.ok("run", "-d", "--name", f"ends-{code}", "busybox", "sh", "-c", f"sleep 0.2; exit {code}")
    assert cli.ok("wait", "ends-3", "ends-4").split() == ["3", "4"]


def test_wait_sees_the_code_of_a_container_that_removes_itself(cli: Cli, tmp_path: Path) -> None:
    script = "until [ -e /mnt/waited-for ]; do sleep 0.05; done; exit 8"
    options = ("--rm", "--name", "vanishing", "-v", f"{tmp_path}:/mnt")
    identity = cli.ok("run", "-d", *options, "busybox", "sh", "-c", script)
    waiting = cli.start("wait", "vanishing")
    wait_until(lambda: list((cli.run_root / "waiters").glob(f"{identity}/*")), "it is waited for")
    (tmp_path / "waited-for").touch()
    out, _ = waiting.communicate(timeout=60)
    assert out == b"8\n"
    assert cli.names() == []


def test_kill_sends_any_signal_and_refuses_what_does_not_run(cli: Cli) -> None:
    script = "trap 'echo heard' USR1; echo ready; while :; do sleep 0.05; done"
    cli.ok("run", "-d", "--name", "listener", "busybox", "sh", "-c", script)
    wait_until(lambda: "ready" in cli.ok("logs", "listener"), "its trap is set")
    cli.ok("kill", "-s", "USR1", "listener")
    wait_until(lambda: "heard" in cli.ok("logs", "listener"), "the signal arrived")
    cli.ok("kill", "listener")
    cli.ok("wait", "listener")
    refused = cli("kill", "listener")
    assert refused.returncode == 1
    assert "not running" in refused.stderr


def test_names_are_unique_and_prefixes_must_be(cli: Cli) -> None:
    identity = cli.ok("create", "--name", "taken", "busybox")
    refused = cli("create", "--name", "taken", "busybox")
    assert refused.returncode == 125
    assert identity[:12] in refused.stderr
    assert cli.inspect(identity[:6])["Id"] == identity
    generated = cli.inspect(cli.ok("create", "busybox"))["Name"]
    assert "_" in generated


def test_logs_are_byte_exact_with_their_streams(cli: Cli) -> None:
    script = r"printf 'one\ntwo'; printf 'err\377\000x' >&2; head -c 200000 /dev/zero"
    cli.ok("run", "-d", "--name", "bytes", "busybox", "sh", "-c", script)
    cli.ok("wait", "bytes")
    process = cli.start("logs", "bytes")
    out, err = process.communicate(timeout=60)
    assert out == b"one\ntwo" + bytes(200000)
    assert err == b"err\xff\x00x"


def test_logs_follow_tail_and_timestamps(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "teller", "busybox", "sh", "-c", "echo 1; echo 2; echo 3; sleep 0.5; echo 4")
    following = cli.start("logs", "-f", "teller")
    out, _ = following.communicate(timeout=60)
    assert out == b"1\n2\n3\n4\n"
    assert cli.ok("logs", "--tail", "2", "teller") == "3\n4"
    stamped = cli.ok("logs", "-t", "--tail", "1", "teller")
    assert stamped.endswith(" 4")
    assert len(stamped.split()[0]) == len("2026-11-23T12:23:41.423313329Z")
    assert cli.ok("logs", "--since", "1h", "teller").split() == ["1", "2", "3", "4"]
    assert cli.ok("logs", "--until", "1h", "teller") == ""


def test_ps_shows_what_runs(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "up", "-l", "tier=web", "busybox", "sleep", "1000")
    cli.ok("run", "-d", "--name", "down", "busybox", "sh", "-c", "exit 7")
    cli.ok("wait", "down")
    header, *rows = cli.ok("ps").splitlines()
    words = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES", "RUNTIME"]
    assert [header.index(word) for word in words] == sorted(header.index(word) for word in words)
    assert len(rows) == 1
    assert "Up " in rows[0]
    assert cli.ok("ps", "-a", "--filter", "status=exited", "--format", "{{.Names}} {{.Status}}").startswith(
        "down Exited (7)"
    )
    assert cli.ok("ps", "-q", "--no-trunc", "-f", "label=tier=web") == cli.inspect("up")["Id"]
    row = json.loads(cli.ok("ps", "--format", "json"))
    assert (row["Names"], row["State"], row["Runtime"]) == ("up", "running", "native")
    bad = cli("ps", "--filter", "bad=1")
    assert bad.returncode == 125
    assert "ancestor" in bad.stderr
    assert cli("ps", "--format", "{{.Nmaes}}").returncode == 125


def test_inspect_is_an_array_and_says_what_is_missing(cli: Cli) -> None:
    missing = cli("inspect", "nobody")
    assert (missing.returncode, json.loads(missing.stdout)) == (1, [])
    assert "nobody" in missing.stderr
    cli.ok("create", "--name", "shown", "-e", "A=b", "-m", "64m", "busybox", "true")
    found = cli.inspect("shown")
    assert found["HostConfig"]["Memory"] == 64 << 20
    assert "A=b" in found["Config"]["Env"]
    assert cli.ok("inspect", "-f", "{{.State.Status}} {{.Name}}", "shown") == "created /shown"


def test_what_a_killed_supervisor_leaves_is_told_and_cleaned(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--name", "bereft", "busybox", "sleep", "1000")
    with open(cli.root / "containers" / identity / "status.json", encoding="utf-8") as file:
        status = json.load(file)
    os.kill(status["supervisor"]["pid"], 9)
    wait_until(lambda: cli.inspect("bereft")["State"]["Status"] != "running", "it is noticed")
    state = cli.inspect("bereft")["State"]
    assert state["ExitCode"] == 137
    assert "supervisor lost" in state["Error"]
    assert not os.path.exists(f"/proc/{status['init']['pid']}/root/bin")
    assert cli.ok("start", "bereft") == "bereft"
    assert cli.inspect("bereft")["State"]["Running"] is True


def test_a_corrupt_record_never_stops_other_commands(cli: Cli) -> None:
    identity = cli.ok("create", "--name", "broken", "busybox")
    cli.ok("create", "--name", "well", "busybox")
    (cli.root / "containers" / identity / "config.json").write_text("{")
    assert cli.names() == ["well"]
    told = cli("inspect", identity)
    assert told.returncode != 0
    assert "corrupt" in told.stderr
    assert cli.ok("rm", "-f", identity[:12])
    assert not (cli.root / "containers" / identity).exists()


def test_a_record_that_cannot_be_settled_hides_no_other(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--name", "orphaned", "--network", "none", "busybox", "sleep", "1000")
    cli.ok("create", "--name", "well", "busybox")
    path = cli.root / "containers" / identity / "config.json"
    record = path.read_text()
    os.kill(cli.supervisor("orphaned"), 9)
    path.write_text(record.replace('"network":"none"', '"network":"uninstalled"'))
    try:
        assert cli.names() == ["well", "orphaned"]
        assert "uninstalled" in cli.inspect("orphaned")["State"]["Error"]
        refused = cli("rm", "-f", "orphaned")
        assert refused.returncode == 1
        assert "uninstalled" in refused.stderr
    finally:
        path.write_text(record)
    cli.ok("rm", "-f", "orphaned")


def test_an_attached_command_is_told_137_when_the_supervisor_is_killed(cli: Cli) -> None:
    process = cli.start("run", "--rm", "--name", "both", "busybox", "sleep", "1000")
    wait_until(lambda: cli.names() == ["both"] and cli.inspect("both")["State"]["Pid"], "it runs")
    os.kill(cli.supervisor("both"), 9)
    process.communicate(timeout=60)
    assert process.returncode == 137


def test_odd_numbers_are_refused_and_long_times_are_not(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "odd", "busybox", "sleep", "1000")
    for word in ("\u00b2", "999", "", "SIGNOTHING", "SIGRTMIN+99"):
        refused = cli("kill", "-s", word, "odd")
        assert refused.returncode in (1, 125)
        assert "internal" not in refused.stderr
    waiting = cli.start("stop", "-t", "-1", "odd")
    wait_until(lambda: cli.ok("events", "--since", "1m", "--until", "0s", "--filter", "event=kill"), "it was asked")
    assert waiting.poll() is None
    cli.ok("kill", "odd")
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
