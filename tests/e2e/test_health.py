"""Health checks: asked at intervals, told everywhere, acted upon."""

from __future__ import annotations

import json

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

_OFTEN = ("--health-interval", "100ms", "--health-retries", "2")


def health(cli: Cli, name: str) -> str:
    found: str = cli.inspect(name)["State"]["Health"]["Status"]
    return found


def test_it_starts_becomes_unhealthy_and_well_again(cli: Cli) -> None:
    check = ("--health-cmd", "test -e /well || { echo not well; exit 3; }")
    cli.ok("run", "-d", "--name", "patient", *check, *_OFTEN, "busybox", "sleep", "1000")
    wait_until(lambda: health(cli, "patient") == "unhealthy", "it is found unhealthy")
    found = cli.inspect("patient")["State"]["Health"]
    assert found["FailingStreak"] >= 2
    assert (found["Log"][-1]["ExitCode"], found["Log"][-1]["Output"]) == (3, "not well\n")
    assert len(found["Log"]) <= 5
    assert "(unhealthy)" in cli.ok("ps", "--filter", "health=unhealthy")
    cli.ok("exec", "patient", "touch", "/well")
    wait_until(lambda: health(cli, "patient") == "healthy", "it is found healthy")
    assert "(healthy)" in cli.ok("ps")
    lines = cli.ok("events", "--since", "1m", "--until", "0s", "--format", "json").splitlines()
    told = [e["Action"] for e in map(json.loads, lines) if e["Action"].startswith("health") and "patient" in str(e)]
    assert told == ["health_status: unhealthy", "health_status: healthy"]


def test_failures_do_not_count_while_it_starts(cli: Cli) -> None:
    period = ("--health-start-period", "1h", "--health-start-interval", "50ms")
    cli.ok("run", "-d", "--name", "young", "--health-cmd", "test -e /up", *_OFTEN, *period, "busybox", "sleep", "1000")
    wait_until(lambda: len(cli.inspect("young")["State"]["Health"]["Log"]) >= 4, "it was asked often")
    assert health(cli, "young") == "starting"
    assert "(health: starting)" in cli.ok("ps")
    cli.ok("exec", "young", "touch", "/up")
    wait_until(lambda: health(cli, "young") == "healthy", "it is up")


def test_a_check_that_hangs_is_ended(cli: Cli) -> None:
    hanging = ("--health-cmd", "sleep 1000", "--health-timeout", "200ms")
    cli.ok("run", "-d", "--name", "stuck", *hanging, *_OFTEN, "busybox", "sleep", "2000")
    wait_until(lambda: health(cli, "stuck") == "unhealthy", "it is unhealthy")
    assert "timeout" in cli.inspect("stuck")["State"]["Health"]["Log"][-1]["Output"]
    wait_until(lambda: cli.ok("top", "stuck", "-o", "pid,args").count("sleep 1000") <= 1, "no check is left behind")


@pytest.mark.parametrize(("action", "code"), [("kill", "137"), ("stop", "7")])
def test_an_unhealthy_one_is_ended_where_that_was_asked(cli: Cli, action: str, code: str) -> None:
    script = "trap 'exit 7' TERM; while :; do sleep 0.05; done"
    options = ("--health-cmd", "false", "--on-unhealthy", action, "--restart", "always" if action == "stop" else "no")
    cli.ok("run", "-d", "--name", "ended", *options, *_OFTEN, "busybox", "sh", "-c", script)
    assert cli.ok("wait", "ended") == code


def test_an_unhealthy_one_is_started_anew_where_that_was_asked(cli: Cli) -> None:
    script = "test -e /second && touch /well; touch /second; trap 'exit 7' TERM; while :; do sleep 0.05; done"
    options = ("--health-cmd", "test -e /well", "--on-unhealthy", "restart")
    cli.ok("run", "-d", "--name", "cured", *options, *_OFTEN, "busybox", "sh", "-c", script)
    wait_until(lambda: health(cli, "cured") == "healthy", "its second life is well")
    assert cli.inspect("cured")["RestartCount"] == 1


def test_a_paused_one_is_not_asked(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "cold", "--health-cmd", "true", *_OFTEN, "busybox", "sleep", "1000")
    wait_until(lambda: health(cli, "cold") == "healthy", "it is healthy")
    cli.ok("pause", "cold")
    wait_until(lambda: cli.inspect("cold")["State"]["Paused"] is True, "it is frozen")
    before = cli.inspect("cold")["State"]["Health"]["Log"][-1]["Start"]
    cli.ok("ps")
    cli.ok("ps")
    assert cli.inspect("cold")["State"]["Health"]["Log"][-1]["Start"] == before
    cli.ok("unpause", "cold")
    wait_until(lambda: cli.inspect("cold")["State"]["Health"]["Log"][-1]["Start"] != before, "it is asked again")
    cli.ok("rm", "-f", "cold")


def test_words_that_are_no_check_are_refused(cli: Cli) -> None:
    for words in (
        ("--health-cmd", "true", "--health-interval", "soon"),
        ("--health-cmd", "true", "--health-interval", "0s"),
        ("--health-cmd", "true", "--health-retries", "0"),
        ("--health-cmd", "true", "--no-healthcheck"),
        ("--health-cmd", "true", "--on-unhealthy", "pray"),
    ):
        assert cli("run", "-d", *words, "busybox", "true").returncode == 125, words
    assert cli.names() == []


def test_inspect_says_how_it_is_asked(cli: Cli) -> None:
    options = ("--health-cmd", "true", "--health-interval", "2s", "--health-retries", "4", "--on-unhealthy", "stop")
    cli.ok("create", "--name", "asked", *options, "busybox")
    assert cli.inspect("asked")["Config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 2 * 10**9,
        "Timeout": 30 * 10**9,
        "StartPeriod": 0,
        "StartInterval": 5 * 10**9,
        "Retries": 4,
        "OnUnhealthy": "stop",
    }
    cli.ok("create", "--name", "unasked", "busybox")
    assert "Healthcheck" not in cli.inspect("unasked")["Config"]
