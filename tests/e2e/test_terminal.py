"""Terminals: what a person at one sees, types and expects."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from ..console import console, on_terminal
from ..support import Cli, wait_until

pytestmark = pytest.mark.root

_SHELL = ("busybox", "sh", "-c", "PS1='in> ' exec sh -i")


def test_a_shell_prompts_answers_and_ends_with_its_code(cli: Cli) -> None:
    with console(cli, "run", "--rm", "-it", *_SHELL) as screen:
        screen.see("in> ")
        assert screen.is_raw()
        screen.line("tty; test -t 0 && test -t 1 && test -t 2 && echo all three")
        screen.see("/dev/pts/0")
        screen.see("all three")
        screen.line("exit 7")
        assert screen.wait() == 7
        assert not screen.is_raw()


def test_it_has_the_windows_size_when_it_looks_first_and_hears_of_changes(cli: Cli) -> None:
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
    with console(cli, "run", "--rm", "-it", "busybox", "sh", "-c", script) as screen:
        screen.see("31 97")
        screen.resize(11, 55)
        screen.see("11 55")


def test_ctrl_c_is_the_containers(cli: Cli) -> None:
    script = "trap 'echo trapped; exit 33' INT; echo ready; while :; do sleep 0.05; done"
    with console(cli, "run", "--rm", "-it", "busybox", "sh", "-c", script) as screen:
        screen.see("ready")
        screen.type("\x03")
        screen.see("trapped")
        assert screen.wait() == 33


def test_ctrl_c_reaches_a_program_under_init_once(cli: Cli) -> None:
    script = "trap 'n=$((n+1)); echo heard $n' INT; echo ready; read x; read x; exit 5"
    with console(cli, "run", "--rm", "-it", "--init", "busybox", "sh", "-c", script) as screen:
        screen.see("ready")
        screen.type("\x03")
        screen.see("heard 1")
        screen.line("a")
        screen.line("b")
        assert screen.wait() == 5
        assert "heard 2" not in screen.seen


def test_job_control_works_inside(cli: Cli) -> None:
    with console(cli, "run", "--rm", "-it", *_SHELL) as screen:
        screen.see("in> ")
        screen.line("echo on; cat")
        screen.see("on; cat")
        screen.see("on")
        screen.line("echoed")
        screen.see("echoed")
        screen.see("echoed")
        screen.type("\x1a")
        screen.see("Stopped")
        screen.line("fg; exit 3")
        screen.see("fg; exit 3")
        screen.see("cat")
        screen.type("\x04")
        assert screen.wait() == 3


@pytest.mark.parametrize("typed", [["\x10\x11"], ["\x10", "\x11"]], ids=["in one write", "in two"])
def test_detach_keys_leave_it_running(cli: Cli, typed: list[str]) -> None:
    with console(cli, "run", "-it", "--name", "left", *_SHELL) as screen:
        screen.see("in> ")
        for keys in typed:
            screen.type(keys)
        assert screen.wait() == 0
        assert not screen.is_raw()
    assert cli.inspect("left")["State"]["Running"] is True
    with console(cli, "attach", "left") as screen:
        screen.line("echo still $((40 + 2))")
        screen.see("still 42")
        screen.line("exit 4")
        assert screen.wait() == 4


def test_detach_keys_of_ones_own(cli: Cli) -> None:
    with console(cli, "run", "-it", "--name", "own", "--detach-keys", "ctrl-a,x", *_SHELL) as screen:
        screen.see("in> ")
        screen.line("echo a\x10\x11b")
        screen.type("\x01x")
        assert screen.wait() == 0
    refused = cli("run", "--rm", "-d", "--detach-keys", "ctrl-", "busybox", "true")
    assert refused.returncode == 125
    assert "--detach-keys" in refused.stderr


def test_exec_has_a_terminal_of_its_own(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    with console(cli, "exec", "-it", "host", "sh", "-c", "PS1='in> ' exec sh -i", rows=20, columns=70) as screen:
        screen.see("in> ")
        screen.line("stty size; tty; echo $TERM")
        screen.see("20 70")
        screen.see("/dev/pts/")
        screen.see("xterm")
        screen.resize(21, 71)
        screen.line("sleep 0.1; stty size")
        screen.see("21 71")
        screen.line("exit 6")
        assert screen.wait() == 6


def test_without_a_terminal_it_is_refused_before_anything_is_made(cli: Cli) -> None:
    refused = cli("run", "-it", "--name", "none", "busybox", "true")
    assert refused.returncode == 1
    assert "no terminal" in refused.stderr
    assert cli.names() == []
    cli.ok("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    assert cli("exec", "-it", "host", "true").returncode == 1


def test_a_terminal_without_a_person_has_merged_output(cli: Cli) -> None:
    done = cli("run", "--rm", "-t", "busybox", "sh", "-c", "echo out; echo err >&2; tty")
    assert done.stdout.splitlines() == ["out", "err", "/dev/pts/0"]
    assert done.stderr == ""


def test_it_can_be_detached_from_the_start(cli: Cli) -> None:
    cli.ok("run", "-dit", "--name", "waiting", *_SHELL)
    with console(cli, "attach", "waiting") as screen:
        screen.line("echo here; exit 2")
        screen.see("here")
        assert screen.wait() == 2
    assert "here" in cli.ok("logs", "waiting")


def test_the_terminal_is_restored_when_the_container_is_killed(cli: Cli) -> None:
    with console(cli, "run", "-it", "--name", "doomed", *_SHELL) as screen:
        screen.see("in> ")
        assert screen.is_raw()
        cli.ok("kill", "doomed")
        assert screen.wait() == 137
        assert not screen.is_raw()


def test_the_terminal_is_restored_when_the_client_is_ended(cli: Cli) -> None:
    with console(cli, "run", "-it", "--name", "survivor", *_SHELL) as screen:
        screen.see("in> ")
        screen.process.send_signal(signal.SIGTERM)
        assert screen.wait() == -signal.SIGTERM
        assert not screen.is_raw()
    assert cli.inspect("survivor")["State"]["Running"] is True


def test_a_window_that_closes_leaves_the_container_running(cli: Cli) -> None:
    with console(cli, "run", "-it", "--name", "orphan", *_SHELL) as screen:
        screen.see("in> ")
        screen.hang_up()
        screen.process.wait(timeout=30)
    assert cli.inspect("orphan")["State"]["Running"] is True


def stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def test_the_clients_job_control_is_the_kernels(cli: Cli) -> None:
    command = " ".join(cli.command)
    with on_terminal(["bash", "--norc", "--noprofile", "-i"], cli) as screen:
        screen.line("PS1='out> '")
        screen.see("out> ")
        screen.see("out> ")
        # Without a terminal of its own the client is like cat: Ctrl-Z stops it, in the background it may not read.
        screen.line(f"{command} run --rm -i --name piped busybox cat")
        wait_until(lambda: cli.names() == ["piped"], "it runs")
        screen.line("first")
        screen.see("first")
        screen.see("first")
        screen.type("\x1a")
        screen.see("Stopped")
        screen.line("bg")
        screen.line("echo mine")
        screen.see("mine")
        screen.see("mine")
        client = only_client("piped")

        def stopped_by_typing() -> bool:
            screen.line("")  # what is typed is the shell's: whoever else would read it is stopped (SIGTTIN)
            return stopped(client)

        wait_until(stopped_by_typing, "the client is stopped")
        screen.line("echo all of $((40 + 2))")
        screen.see("all of 42")
        screen.line("fg")
        screen.see("run --rm -i")
        screen.line("second")
        screen.see("second")
        screen.see("second")
        screen.type("\x04")
        screen.see("out> ")
        # Whoever sets a terminal from the background is stopped, and sets it when it has it (SIGTTOU).
        screen.line(f"{command} run --rm -it --name behind busybox sh -c 'read x; echo got $x' &")
        wait_until(lambda: cli.names() == ["behind"], "it runs")
        client = only_client("behind")
        wait_until(lambda: stopped(client), "it is stopped")
        screen.line("fg")
        screen.see("fg")
        wait_until(screen.is_raw, "it has the terminal")
        screen.line("words")
        screen.see("got words")
        screen.see("out> ")
        screen.line("exit")
        screen.wait()


def only_client(name: str) -> int:
    wait_until(lambda: len(clients(name)) == 1, "its supervisor is on its own")
    return clients(name)[0]


def clients(name: str) -> list[int]:
    """Processes whose command line names this container, but for supervisors, which have sessions of their own."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if name.encode() in file.read().split(b"\0") and os.getsid(int(pid)) != int(pid):
                found.append(int(pid))
    return found
