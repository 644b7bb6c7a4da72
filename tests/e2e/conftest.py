"""A command line with images, for the tests that type what a user types."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support import CHECKOUT, Cli
from ..turns import held

pytestmark = pytest.mark.root


@pytest.fixture(scope="session")
def registry(request: pytest.FixtureRequest) -> Path:
    """The local registry directory of the checkout, with busybox in it."""
    if not (CHECKOUT / "registry/busybox/index.json").exists():
        build(request.getfixturevalue("mirrors"), "busybox")
    return CHECKOUT / "registry"


def build(mirrors: int, *names: str) -> None:
    """Build images in the network that has the package mirrors, given as a descriptor."""
    path = f"{CHECKOUT}:{CHECKOUT}/plugins"
    program = ["nsenter", f"--net=/proc/self/fd/{mirrors}", sys.executable, "-m", "cmanager"]
    with held("registry"):
        subprocess.run(
            [*program, "registry", "build", *names],
            check=True,
            pass_fds=[mirrors],
            env={**os.environ, "PYTHONPATH": path},
        )


@pytest.fixture(scope="session")
def machine(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """State directories that the tests share, so that layers are unpacked once."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run it with sudo")
    directory = tmp_path_factory.mktemp("cmanager")
    return Cli(directory / "root", directory / "run")


@pytest.fixture
def cli(machine: Cli) -> Iterator[Cli]:
    """The command line; every container of the test is gone afterwards, and a test that leaves more than that fails."""
    yield machine
    assert machine.clear() == []
