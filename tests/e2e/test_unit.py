"""`system unit`: what systemd gets to start containers after a boot."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from cmanager.cli.output.unit import unit

from ..support import Cli

pytestmark = pytest.mark.root


def setting(text: str, key: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{key}=")]
    return line.partition("=")[2]


def test_what_it_starts_can_be_executed_and_does_it(cli: Cli) -> None:
    cli.ok("create", "--name", "due", "--restart", "always", "busybox", "sleep", "1000")
    text = cli.ok("system", "unit")
    words = shlex.split(setting(text, "ExecStart"))
    assert os.path.isabs(words[0])
    assert words[-2:] == ["start", "--all-restartable"]
    assert (setting(text, "After"), setting(text, "Type")) == ("network.target", "oneshot")
    environment = {"PATH": os.environ["PATH"]}
    environment |= dict([shlex.split(setting(text, "Environment"))[0].split("=", 1)] if "Environment=" in text else [])
    done = subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert cli.inspect("due")["State"]["Running"] is True


def test_systemd_reads_it(cli: Cli, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed: the unit was not checked")
    file = tmp_path / "cmanager-test.service"
    file.write_text(cli.ok("system", "unit") + "\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if "cmanager-test" in line] == []


def test_odd_paths_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/opt/my tools/cmanager"])
    line = setting(unit("/srv/100%", "/run/cmanager", 'a"b'), "ExecStart")
    config = f'{os.getcwd()}/a\\"b'
    assert line == f'"/opt/my tools/cmanager" --root /srv/100%% --config "{config}" start --all-restartable'


def test_what_is_usual_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/cmanager"])
    line = setting(unit("/var/lib/cmanager", "/run/cmanager", None), "ExecStart")
    assert line == "/usr/bin/cmanager start --all-restartable"
