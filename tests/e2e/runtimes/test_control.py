"""Signals, pauses, logs and sudden deaths: the same under every runtime."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ...support import Cli, Snapshot, wait_until
from .matrix import Runtime, refused

pytestmark = pytest.mark.root

#: All that a program can hear of, a real-time one too; SIGCHLD comes by itself.
_HEARD = [n for n in (*range(1, 32), 40, 64) if n not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD)]
_TICKS = "i=0; while :; do i=$((i+1)); echo $i > /ticks/now; sleep 0.02; done"


@pytest.fixture
def ticks(tmp_path: Path) -> Callable[[], int]:
    """How far a container has counted that runs `_TICKS` with `tmp_path` at /ticks."""
    return lambda: int((tmp_path / "now").read_text() or 0) if (tmp_path / "now").exists() else 0


def stands(ticks: Callable[[], int]) -> Callable[[], bool]:
    """Whether it counts no further."""

    def still() -> bool:
        before = ticks()
        time.sleep(0.2)
        return ticks() == before

    return still


@pytest.mark.everyday("native", "lxc")
def test_it_hears_every_signal(cli: Cli, tmp_path: Path, ticks: Callable[[], int]) -> None:
    traps = "".join(f"trap 'echo {number}' {number}; " for number in _HEARD)
    cli.ok("run", "-d", "--name", "it", "-v", f"{tmp_path}:/ticks", "busybox", "sh", "-c", traps + _TICKS)
    wait_until(ticks, "it counts")
    for number in _HEARD:
        cli.ok("kill", "-s", str(number), "it")
    heard: list[int] = []

    def all_heard() -> bool:
        heard[:] = sorted(map(int, cli.ok("logs", "it").split()))
        return heard == _HEARD

    with suppress(AssertionError):
        wait_until(all_heard, "it hears them")
    assert heard == _HEARD
    cli.ok("kill", "-s", "STOP", "it")
    wait_until(stands(ticks), "it stands")
    now = ticks()
    cli.ok("kill", "-s", "CONT", "it")
    wait_until(lambda: ticks() > now, "it goes on")
    cli.ok("kill", "-s", "KILL", "it")
    assert cli.ok("wait", "it") == "137"


def test_it_dies_of_each_signal(cli: Cli, runtime: Runtime) -> None:
    """Under an init: the kernel keeps from process 1 what it has no handler for (pid_namespaces(7))."""
    program = ("busybox", "sh", "-c", "echo ready; exec sleep 1000")
    if not runtime.able("init"):
        refused(cli, runtime, "run", "--rm", "--init", *program)
        return
    numbers = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL]
    names = {f"by-{number}": number for number in numbers}
    for name in names:
        cli.ok("run", "-d", "--init", "--ulimit", "core=0", "--name", name, *program)
    for name, number in names.items():
        wait_until(lambda n=name: cli.ok("logs", n) == "ready", f"{name} runs")  # type: ignore[misc]
        cli.ok("kill", "-s", str(int(number)), name)
    codes = dict(zip(names, cli.ok("wait", *names).split(), strict=True))
    assert codes == {name: str(128 + number) for name, number in names.items()}


@pytest.mark.everyday("native", "runc", "lxc")
def test_stop_asks_and_insists(cli: Cli) -> None:
    script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    cli.ok("run", "-d", "--name", "polite", "busybox", "sh", "-c", script)
    cli.ok(
        "run", "-d", "--name", "deaf", "busybox", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    )
    for name, code in (("polite", "5"), ("deaf", "137")):
        wait_until(lambda n=name: cli.ok("logs", n) == "ready", "its trap is set")  # type: ignore[misc]
        cli.ok("stop", "-t", "1", name)
        assert cli.ok("wait", name) == code


def test_a_pause_freezes_all_of_it(cli: Cli, tmp_path: Path, ticks: Callable[[], int]) -> None:
    cli.ok("run", "-d", "--name", "it", "-v", f"{tmp_path}:/ticks", "busybox", "sh", "-c", f"({_TICKS}); exit 3")
    wait_until(ticks, "it counts")
    cli.ok("pause", "it")
    assert stands(ticks)()
    assert cli.inspect("it")["State"]["Status"] == "paused"
    now = ticks()
    cli.ok("unpause", "it")
    wait_until(lambda: ticks() > now, "it goes on")
    cli.ok("pause", "it")
    cli.ok("kill", "it")
    assert cli.ok("wait", "it") == "137"


def test_its_log_has_every_byte_of_each_stream(cli: Cli) -> None:
    script = r"printf 'one\ntwo'; printf 'err\377\000x' >&2; head -c 200000 /dev/zero; sleep 0.3; echo end"
    cli.ok("run", "-d", "--name", "it", "busybox", "sh", "-c", script)
    for words in (("-f", "it"), ("it",)):
        out, err = cli.start("logs", *words).communicate(timeout=60)
        assert out == b"one\ntwo" + bytes(200000) + b"end\n"
        assert err == b"err\xff\x00x"


@pytest.mark.alone
def test_a_killed_supervisor_is_told_and_nothing_is_left(cli: Cli, tmp_path: Path, ticks: Callable[[], int]) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    before = Snapshot.take()
    options = ("-v", f"{tmp_path}:/ticks", "busybox", "sh", "-c")
    identity = cli.ok("run", "-d", "--name", "bereft", *options, f"({_TICKS}) & sleep 1000")
    wait_until(ticks, "it counts")
    os.kill(cli.supervisor("bereft"), signal.SIGKILL)
    assert "Exited (137)" in cli.ok("ps", "-a")
    assert stands(ticks)()
    assert "supervisor lost" in cli.inspect("bereft")["State"]["Error"]
    left = Snapshot.take().beyond(before)
    assert left == {}
    now = ticks()
    cli.ok("start", "bereft")
    wait_until(lambda: ticks() != now, "it counts again")
    cli.ok("rm", "-f", "bereft")
    assert [path for home in (cli.root, cli.run_root) for path in home.rglob(f"*{identity}*")] == []
