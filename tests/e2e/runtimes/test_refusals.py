"""What a runtime did not announce is refused before anything is made; flags of `run` are in test_programs.py too."""

from __future__ import annotations

import pytest

from ...support import Cli
from .matrix import NAMES, Runtime, absent, refused, table
from .test_programs import DEFAULTS

pytestmark = pytest.mark.root


@pytest.mark.presence
def test_it_is_there(runtime: Runtime) -> None:
    """Skipped with the reason where it is not; so every runtime is accounted for in one line."""
    assert not absent(runtime.name)


def test_every_runtime_is_in_the_table() -> None:
    assert set(table()) <= set(NAMES)


def test_what_it_does_without_is_said(cli: Cli, runtime: Runtime) -> None:
    needed = {ability for needs, _, _ in DEFAULTS.values() for ability in needs}
    done = cli("run", "--rm", "busybox", "echo", "well")
    assert (done.returncode, done.stdout) == (0, "well\n")
    assert (f"runtime {runtime.name} does without: " in done.stderr) == bool(needed - runtime.abilities)


@pytest.mark.lacks("terminal")
def test_a_terminal(cli: Cli, runtime: Runtime) -> None:
    refused(cli, runtime, "run", "--rm", "--tty", "busybox", "true")


@pytest.mark.lacks("exec")
def test_exec(cli: Cli, runtime: Runtime) -> None:
    cli.ok("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    for flag in ((), ("-d",), ("-i",), ("-t",)):
        done = cli("exec", *flag, "host", "true")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1), done.stderr
        assert f"runtime {runtime.name} " in done.stderr


@pytest.mark.needs("exec")
@pytest.mark.parametrize(("flags", "ability"), [(("-t",), "terminal"), (("-u", "1000"), "user")])
def test_flags_of_exec(cli: Cli, runtime: Runtime, flags: tuple[str, ...], ability: str) -> None:
    cli.ok("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    done = cli("exec", *flags, "host", "true")
    if runtime.able(ability):
        assert done.returncode == 0, done.stderr
    else:
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1), done.stderr
        assert f"runtime {runtime.name} " in done.stderr
