"""Commands that do not read what they asked for: they slow a program down, never its end."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ..support import Cli, end, wait_until

pytestmark = pytest.mark.root


def test_everything_reaches_a_client_that_reads_late(cli: Cli) -> None:
    # More than the pipe and the socket hold, so that the end finds output on its way.
    process = cli.start("run", "--rm", "busybox", "sh", "-c", "head -c 5000000 /dev/zero; exit 3")
    wait_until(lambda: cli.names() != [] or process.poll() is not None, "it runs")
    process.send_signal(signal.SIGSTOP)
    os.kill(process.pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, len(out)) == (3, 5000000)


def test_a_client_that_sleeps_holds_up_neither_stop_nor_restart(cli: Cli) -> None:
    chatty = "while :; do head -c 100000 /dev/zero; done"
    cli.ok("run", "-d", "--name", "chatty", "--restart", "always", "busybox", "sh", "-c", chatty)
    attached = cli.start("attach", "chatty")
    assert attached.stdout
    attached.stdout.read(1)
    attached.send_signal(signal.SIGSTOP)
    os.kill(cli.inspect("chatty")["State"]["Pid"], signal.SIGKILL)
    wait_until(lambda: cli.inspect("chatty")["RestartCount"] == 1, "it lives again")
    cli.ok("rm", "-f", "chatty")
    attached.send_signal(signal.SIGCONT)
    end(attached)


def test_a_client_that_sleeps_does_not_keep_the_container_from_others(cli: Cli) -> None:
    process = cli.start("run", "--name", "over", "busybox", "sh", "-c", "while :; do head -c 100000 /dev/zero; done")
    assert process.stdout
    process.stdout.read(1)
    process.send_signal(signal.SIGSTOP)
    cli.ok("kill", "over")
    try:
        cli.ok("wait", "over", timeout=20)
        cli.ok("rename", "over", "again", timeout=20)
        cli.ok("rm", "again", timeout=20)
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    assert process.returncode == 137


def test_who_leaves_while_its_input_waits_costs_nothing(cli: Cli) -> None:
    process = cli.start("run", "--rm", "-i", "--name", "deaf", "busybox", "sleep", "1000")
    assert process.stdin
    os.set_blocking(process.stdin.fileno(), False)
    wait_until(lambda: cli.names() == ["deaf"] and cli.inspect("deaf")["State"]["Pid"], "it runs")
    # Full is what stays full: the pipe, the command, the socket and the program's own pipe.
    written, tries = 0, 0
    while tries < 20:
        try:
            written += os.write(process.stdin.fileno(), bytes(65536))
            tries = 0
        except BlockingIOError:
            time.sleep(0.05)
            tries += 1
    assert written > 131072
    supervisor = cli.supervisor("deaf")
    end(process)
    before = ticks(supervisor)
    cli.ok("exec", "deaf", "sleep", "1")
    assert ticks(supervisor) - before < 50


def ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
