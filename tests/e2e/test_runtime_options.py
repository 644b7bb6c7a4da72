"""What `[runtime.NAME]` of plugins.toml says: any OCI runtime by configuration alone, which versions are safe."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

Configured = Callable[[str], Cli]

_GVISOR = """
[plugins]
runtime.gvisor = "cmanager_oci:oci [api1]"

[runtime.gvisor]
path = "/usr/bin/runsc"
arguments = ["--platform=ptrace", "--network=host"]
lacks = ["seccomp"]
"""


@pytest.fixture
def configured(cli: Cli, tmp_path: Path) -> Configured:
    """The command line with a plugins.toml of this text."""

    def write(text: str) -> Cli:
        (tmp_path / "plugins.toml").write_text(text)
        return Cli(cli.root, cli.run_root, tmp_path / "plugins.toml")

    return write


def needs(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def table(cli: Cli) -> dict[str, Any]:
    """The capability table."""
    found: dict[str, Any] = json.loads(cli.ok("info", "--format", "json"))["Runtimes"]
    return found


def test_an_unknown_oci_runtime_needs_no_code(configured: Configured) -> None:
    needs("runsc")
    own = configured(_GVISOR)
    assert "seccomp" in table(own)["gvisor"]["Lacks"]
    try:
        own.ok("run", "-d", "--name", "box", "-m", "200m", "--runtime", "gvisor", "busybox", "sh", "-c", _UNTIL_TERM)
        wait_until(lambda: own.ok("logs", "box") == "ready", "the sandbox runs its program")
        assert "Starting gVisor" in own.ok("exec", "box", "dmesg")
        assert own("exec", "box", "sh", "-c", "exit 3").returncode == 3
        address = own.inspect("box")["NetworkSettings"]["IPAddress"]
        assert address in own.ok("exec", "box", "ip", "addr")
        assert len(own.ok("top", "box").splitlines()) > 2, "the sandbox is in the core's cgroup"
        own.ok("stop", "box")
        assert own.inspect("box")["State"]["ExitCode"] == 7
        assert own("run", "--rm", "--runtime", "gvisor", "busybox", "no-such").returncode == 127
    finally:
        own.clear()
    state = own.run_root / "runtime/gvisor/state"
    assert not [path for path in state.iterdir() if path.suffix == ".state"]


_UNTIL_TERM = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done'


def test_an_old_version_is_warned_of_in_run_and_in_the_table(configured: Configured) -> None:
    needs("runc")
    own = configured('[runtime.runc]\nminimum = ["99.0"]\n')
    done = own("run", "--rm", "--runtime", "runc", "busybox", "echo", "hi")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    assert "has known ways out of a container, mended in 99.0" in done.stderr
    assert "mended in 99.0" in table(own)["runc"]["Warnings"][0]


def test_a_version_that_is_new_enough_is_no_subject(configured: Configured) -> None:
    needs("runc")
    own = configured('[runtime.runc]\nminimum = ["0.1"]\n')
    assert own("run", "--rm", "--runtime", "runc", "busybox", "true").stderr == ""


def test_an_old_version_is_refused_under_strict(configured: Configured) -> None:
    needs("runc")
    own = configured('[runtime.runc]\nminimum = ["99.0"]\nstrict = true\n')
    done = own("run", "--name", "box", "--runtime", "runc", "busybox", "true")
    assert done.returncode == 125
    assert "set strict = false under [runtime.runc]" in done.stderr
    assert own.names() == []
    assert "mended in 99.0" in table(own)["runc"]["Error"]
    assert "failed" in next(line for line in own.ok("plugin", "ls").splitlines() if " runc " in line)


def test_a_program_that_is_not_there_is_named_with_what_to_do(configured: Configured) -> None:
    own = configured('[runtime.runc]\npath = "/no/such/runc"\n')
    done = own("run", "--name", "box", "--runtime", "runc", "busybox", "true")
    assert done.returncode == 125
    assert done.stderr.count("\n") == 1
    for word in ("runc", "/no/such/runc", "no such file", "[runtime.runc]"):
        assert word in done.stderr
    assert own.names() == []
    own.ok("run", "--rm", "--runtime", "native", "busybox", "true")


def test_an_unknown_option_names_the_nearest(configured: Configured) -> None:
    done = configured('[runtime.runc]\nminimun = ["1.0"]\n')("run", "--rm", "--runtime", "runc", "busybox", "true")
    assert done.returncode == 125
    assert "did you mean 'minimum'" in done.stderr


def test_what_a_program_can_do_is_asked_once(configured: Configured) -> None:
    needs("runc")
    own = configured('[runtime.runc]\nminimum = ["0.1"]\n')
    table(own)
    kept = own.root / "runtime/runc/features.json"
    before = kept.stat().st_mtime_ns
    time.sleep(0.01)
    table(own)
    assert kept.stat().st_mtime_ns == before
