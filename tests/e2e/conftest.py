"""A command line with images, for the tests that type what a user types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmanager.cli.plugin import KINDS

from .. import installed, servers, tutorial
from ..support import CHECKOUT, WARM, Cli
from ..turns import held

pytestmark = pytest.mark.root


@pytest.fixture(scope="session", autouse=True)
def no_servers_left(own_network: None) -> Iterator[None]:
    """Command servers that tests have begun, by whatever installed command, end with the session's namespaces."""
    yield
    servers.end_here()


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
def machine(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """State directories that the tests share, so that layers are unpacked once."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run it with sudo")
    directory = tmp_path_factory.mktemp("cmanager")
    made = Cli(directory / "root", directory / "run")
    if made.command is WARM:
        servers.begin(made)
    yield made
    servers.end(made)


@pytest.fixture
def cli(machine: Cli) -> Iterator[Cli]:
    """The command line; every container of the test is gone afterwards, and a test that leaves more than that fails."""
    yield machine
    assert machine.clear() == []


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of the checkout, of third parties' plugins, of what `plugin new` writes and of the tutorial's package."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run it with sudo")
    place = tmp_path_factory.mktemp("wheels")
    sources = [installed.checkout_source(place / "checkout"), *third_parties(place / "api1")]
    sources += [scaffold(place / "new", seam) for seam in KINDS]
    sources.append(tutorial.write(place / "tutorial"))
    installed.build(place / "wheels", *sources)
    installed.build(place / "wheels", second_version(place / "jail"))
    return place / "wheels"


def third_parties(place: Path) -> list[Path]:
    """The packages in tests/plugins, to be built."""
    shutil.copytree(CHECKOUT / "tests/plugins/api1", place, ignore=shutil.ignore_patterns("__pycache__"))
    return sorted(place.iterdir())


def second_version(place: Path) -> Path:
    """The runtime of tests/plugins as its author would publish it next: 1.1, and it says so."""
    shutil.copytree(CHECKOUT / "tests/plugins/api1/jail", place, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in (
        ("pyproject.toml", 'version = "1.0"', 'version = "1.1"'),
        ("cmanager_jail.py", 'version="1"', 'version="1.1"'),
    ):
        text = (place / name).read_text()
        assert old in text
        (place / name).write_text(text.replace(old, new))
    return place


def scaffold(place: Path, seam: str) -> Path:
    """The package that `cmanager plugin new` writes for a seam, called new_SEAM."""
    place.mkdir(exist_ok=True)
    Cli(place, place).ok("plugin", "new", f"new_{seam}", "--seam", seam, "--directory", str(place / seam))
    return place / seam


@pytest.fixture(scope="session")
def site(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> installed.Site:
    """An environment with cmanager installed from its wheel, and no plugin."""
    made = installed.Site(tmp_path_factory.mktemp("site") / "venv", wheels)
    made.install("cmanager")
    return made


@pytest.fixture(scope="session")
def user(site: installed.Site, registry: Path, tmp_path_factory: pytest.TempPathFactory) -> installed.InstalledCli:
    """The installed command with busybox stored; state directories that the tests share."""
    made = installed.InstalledCli(site, tmp_path_factory.mktemp("user"), registry)
    made.ok("pull", "-q", "busybox")
    return made


@pytest.fixture
def theirs(user: installed.InstalledCli) -> Iterator[installed.InstalledCli]:
    """The same for one test, with the shipped configuration; no container is left."""
    user.configure("")
    yield user
    assert user.clear() == []
