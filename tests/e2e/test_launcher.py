"""The installed command: from a wheel and from a checkout, warm, and away when its environment is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import installed, servers
from ..support import Cli, wait_until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed.checkout_source(tmp_path_factory.mktemp("launcher") / "source")


@pytest.fixture
def command(source: Path, tmp_path: Path) -> Iterator[Cli]:
    """What pip made of the wheel, called through a symlink as pipx makes it."""
    installed.build(tmp_path / "wheels", source)
    site = installed.Site(tmp_path / "venv", tmp_path / "wheels")
    site.install("cmanager")
    (tmp_path / "cmanager").symlink_to("venv/bin/cmanager")
    made = Cli(tmp_path / "root", tmp_path / "run", command=(str(tmp_path / "cmanager"),))
    yield made
    servers.end(made)


def used(cli: Cli) -> bool:
    return "command server: used" in cli.ok("doctor", "--format", "{{.What}}: {{.Found}}")


def test_it_is_warm_until_its_environment_changes(command: Cli, tmp_path: Path) -> None:
    wait_until(lambda: used(command), "it is served")
    server = servers.pid(command)
    assert command.ok("system", "unit").find(f"ExecStart={tmp_path}/cmanager ") > 0
    assert servers.pid(command) == server
    for info in tmp_path.glob("venv/lib/python3*/site-packages/cmanager-*.dist-info"):
        info.rename(info.with_name("cmanager-9.dist-info"))  # as an upgrade does
    command.ok("version")
    wait_until(lambda: server not in servers.all_of(command), "it has made room")


def test_of_a_checkout_it_runs_what_lies_there(source: Path, tmp_path: Path) -> None:
    checkout = shutil.copytree(source, tmp_path / "checkout")
    site = installed.Site(tmp_path / "venv", tmp_path)
    flags = ["--no-deps", "--no-index", "--no-build-isolation", "--config-settings", "editable_mode=compat"]
    pip = [sys.executable, "-m", "pip", "--quiet", f"--python={site.python}", "install", *flags, "--editable", checkout]
    subprocess.run(list(map(str, pip)), check=True, capture_output=True)
    version = checkout / "cmanager/cli/version.py"
    version.write_text(version.read_text().replace("plugin api", "plugin API"))
    cli = Cli(tmp_path / "root", tmp_path / "run", command=(str(tmp_path / "venv/bin/cmanager"),))
    assert "plugin API" in cli.ok("--no-warm", "version")
