"""The kit as an author uses it: another project, with a plugin of its own, and pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..support import CHECKOUT

pytestmark = pytest.mark.root

PLUGIN = """
from attrs import frozen

from cmanager import hookimpl
from cmanager.errors import HostError
from cmanager.linux.netns import entered
from cmanager.linux.rtnetlink import LOOPBACK, Rtnetlink
from cmanager.model import Attachment, Provider


@frozen
class Options:
    up: bool = True


class Mine:
    isolated = True

    def __init__(self, options):
        self._options = options

    def attach(self, id, netns, endpoint):
        try:
            with entered(netns), Rtnetlink() as kernel:
                if self._options.up:
                    kernel.up(LOOPBACK)
        except OSError as error:
            raise HostError.of("connect", netns, error) from None
        return Attachment()

    def detach(self, id, netns):
        pass

    def owned(self):
        return frozenset()


@hookimpl
def cmanager_networks():
    return [Provider("mine", lambda context, options: Mine(options), options=Options)]
"""

TESTS = """
from cmanager.testing import NetworkSuite

class TestMine(NetworkSuite):
    provider = "mine"

class TestMineAsleep(NetworkSuite):
    provider = "mine"
    options = {"up": False}
"""


class Project:
    """A directory with a plugin that is importable and named in a plugins.toml, and pytest in it."""

    def __init__(self, place: Path) -> None:
        self.place, self.work = place, place / "work"
        self.work.mkdir()
        (place / "kit_mine.py").write_text(PLUGIN)
        (place / "kit_broken.py").write_text("import no_such_module\n")
        names = ("mine", "broken")
        lines = [f'network.{name} = "kit_{name} [api1]"' for name in names]
        (place / "plugins.toml").write_text("\n".join(["[plugins]", *lines, ""]))

    def pytest(self, *arguments: str, load: str = "cmanager.testing.plugin") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "pytest", "-p", load, "-p", "no:cacheprovider", *arguments],
            cwd=self.work,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT}/plugins:{self.place}",
                "CMANAGER_CONFIG": str(self.place / "plugins.toml"),
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_name_is_enough(project: Project) -> None:
    """In an empty directory; the report says who was tried, of which version, and why something was not."""
    done = project.pytest("--cmanager-provider", "network:mine")
    assert done.returncode == 0, done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("network mine"))
    assert line.endswith("api 1: 9 passed, 5 skipped")
    assert str(project.place / "plugins.toml") in line
    assert "5 skipped: this network gives containers no address" in done.stdout


def test_what_it_can_do_besides_is_tried_too(project: Project) -> None:
    """One suite for each ability that it has; none of those that it has not, and nothing of the directory."""
    (project.work / "test_other.py").write_text("def test_other(): pass\n")
    done = project.pytest("--cmanager-provider", "storage:vfs", "--cmanager-provider", "network:mine", "--co", "-q")
    assert done.returncode == 0, done.stdout
    found = {line.rpartition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    assert found == {
        "network:mine::NetworkSuite",
        "storage:vfs::CommitSuite",
        "storage:vfs::StorageSuite",
        "storage:vfs::VolumesSuite",
    }


def test_paths_are_collected_besides(project: Project) -> None:
    (project.work / "test_other.py").write_text("def test_other(): pass\n")
    done = project.pytest("--cmanager-provider", "network:mine", "test_other.py", "-k", "other or idempotent")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("mine", "write SEAM:NAME, such as runtime:mine"),
        ("network:", "write SEAM:NAME, such as runtime:mine"),
        ("net:mine", "no seam 'net', known are image, limiter, network, runtime, storage"),
        ("network:mime", "no network plugin 'mime', did you mean 'mine'"),
        ("network:broken", "No module named 'no_such_module'"),
    ],
)
def test_a_wrong_name_is_an_error_of_usage(project: Project, word: str, said: str) -> None:
    done = project.pytest("--cmanager-provider", word)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"ERROR: --cmanager-provider {word}: ")
    assert said in line


def test_a_class_names_it_with_its_options(project: Project) -> None:
    """And a failure comes with what the contract says."""
    (project.work / "test_mine.py").write_text(TESTS)
    done = project.pytest()
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "18 passed" not in done.stdout
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert ["TestMineAsleep::test_loopback_works" in line for line in failed] == [True]
    assert "Loopback works: An attached container can talk to itself." in done.stdout
    assert "See cmanager.seams.Network." in done.stdout


def test_a_class_without_a_name_says_so(project: Project) -> None:
    (project.work / "test_mine.py").write_text(TESTS.replace('provider = "mine"', "pass", 1))
    done = project.pytest("-k", "TestMine and idempotent and not Asleep")
    assert 'TestMine names no provider: write provider = "NAME" in it' in done.stdout


def test_an_installed_kit_is_loaded_once(project: Project) -> None:
    """Its entry point is there in every project; naming the module as well is no clash."""
    info = project.place / "kit_installed-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kit-installed\nVersion: 1\n")
    (info / "RECORD").write_text("")
    pyproject = (CHECKOUT / "pyproject.toml").read_text()
    section = pyproject.partition("[project.entry-points.pytest11]\n")[2].partition("\n\n")[0]
    (info / "entry_points.txt").write_text(f"[pytest11]\n{section.replace(chr(34), '')}\n")
    named = 'pytest_plugins = ["cmanager.testing.plugin"]\n'
    for load, conftest in (("no:cacheprovider", ""), ("no:cacheprovider", named), ("cmanager.testing.plugin", named)):
        (project.work / "conftest.py").write_text(conftest)
        done = project.pytest("--cmanager-provider", "network:mine", "-k", "idempotent", load=load)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 passed" in done.stdout


def test_loading_it_costs_nothing(project: Project) -> None:
    """pytest loads it in every project that has cmanager installed: two packages and itself."""
    code = "import sys, cmanager.testing.plugin; print(*sorted(m for m in sys.modules if m.startswith('cmanager')))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["cmanager", "cmanager.testing", "cmanager.testing.plugin"]
