"""A person at a terminal: the same under every runtime that announced one."""

from __future__ import annotations

import pytest

from ...console import console
from ...support import Cli

pytestmark = [pytest.mark.root, pytest.mark.needs("terminal")]

_SHELL = ("busybox", "sh", "-c", "PS1='in> ' exec sh -i")


def test_a_shell_with_a_window_that_changes(cli: Cli) -> None:
    with console(cli, "run", "--rm", "-it", *_SHELL) as screen:
        screen.see("in> ")
        assert screen.is_raw()
        screen.line("stty size; test -c $(tty) && test -t 0 && test -t 1 && test -t 2 && echo all $((1 + 2)).")
        screen.see("31 97")
        screen.see("all 3.")
        screen.resize(11, 55)
        screen.line("stty size")
        screen.see("11 55")
        screen.line("exit 7")
        assert screen.wait() == 7
        assert not screen.is_raw()


def test_a_program_hears_that_its_window_changes(cli: Cli) -> None:
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
    with console(cli, "run", "--rm", "-it", "busybox", "sh", "-c", script) as screen:
        screen.see("31 97")
        screen.resize(11, 55)
        screen.see("11 55")


def test_keys_are_the_containers(cli: Cli) -> None:
    script = "trap 'echo trapped; exit 33' INT; echo ready; while :; do sleep 0.05; done"
    with console(cli, "run", "--rm", "-it", "busybox", "sh", "-c", script) as screen:
        screen.see("ready")
        screen.type("\x03")
        screen.see("trapped")
        assert screen.wait() == 33


def test_left_and_come_back_to(cli: Cli) -> None:
    with console(cli, "run", "-it", "--name", "left", *_SHELL) as screen:
        screen.see("in> ")
        screen.type("\x10\x11")
        assert screen.wait() == 0
    with console(cli, "attach", "left") as screen:
        screen.line("echo still $((40 + 2))")
        screen.see("still 42")
        cli.ok("kill", "left")
        assert screen.wait() == 137
        assert not screen.is_raw()


def test_one_without_a_person(cli: Cli) -> None:
    done = cli("run", "--rm", "--tty", "busybox", "sh", "-c", "echo out; echo err >&2; test -c $(tty) && echo named")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["out", "err", "named"]), done.stderr
