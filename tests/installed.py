"""cmanager and plugins as users have them: installed from wheels, where nothing is known of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

from .support import CHECKOUT, Cli

#: What of the checkout goes into a wheel.
_PARTS = ("bin", "cmanager", "plugins", "LICENSE", "README.md", "plugins.toml", "pyproject.toml", "setup.py")
_LEAST_SETUPTOOLS = 77
_PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


def checkout_source(place: Path) -> Path:
    """A copy of what the wheel is made of: building writes beside its sources."""
    (place / "registry").mkdir(parents=True)
    for recipe in (CHECKOUT / "registry").glob("*.toml"):
        shutil.copy(recipe, place / "registry")
    for part in _PARTS:
        if (CHECKOUT / part).is_dir():
            shutil.copytree(CHECKOUT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / part, place / part)
    return place


def build(out: Path, *sources: Path) -> None:
    """Put a wheel of each source directory into `out`, without a network; the directories are changed by it."""
    version = metadata.version("setuptools")
    if int(version.partition(".")[0]) < _LEAST_SETUPTOOLS:
        pytest.skip(f"wheels need setuptools {_LEAST_SETUPTOOLS}, here is {version}: pip install '.[test]'")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", f"--wheel-dir={out}", *map(str, sources))


class Site:
    """An environment in `directory`, with what cmanager depends on taken from the one that runs the tests.

    python: its interpreter; wheels: the directory with the wheels that it is installed from.
    """

    def __init__(self, directory: Path, wheels: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
        self.python, self.wheels = directory / "bin/python", wheels
        (packages,) = directory.glob("lib/python3*/site-packages")
        # Behind its own packages on the path; .pth files there are not read, so that an editable checkout stays unseen.
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

        self._extra: set[str] = set()

    def install(self, *requirements: str) -> None:
        """Install these distributions, "NAME" or "NAME==VERSION", in place of the version that is there."""
        self._extra.update(name.partition("==")[0] for name in requirements if name != "cmanager")
        flags = ("--no-deps", "--no-index", "--no-compile", "--find-links", str(self.wheels))
        _pip(f"--python={self.python}", "install", *flags, "--force-reinstall", *requirements)

    def uninstall(self, *names: str) -> None:
        """Remove these distributions."""
        self._extra.difference_update(names)
        _pip(f"--python={self.python}", "uninstall", "--yes", *names)

    def restore(self) -> None:
        """Remove every distribution but cmanager."""
        if self._extra:
            self.uninstall(*self._extra)

    def pytest(self, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run pytest in a directory with what is installed here."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(self.python), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


class InstalledCli(Cli):
    """The `cmanager` of a site on state directories of its own, with a plugins.toml of its own."""

    def __init__(self, site: Site, place: Path, registry: Path) -> None:
        self._registry = registry
        config = place / "plugins.toml"
        super().__init__(place / "root", place / "run", config, command=(str(site.python.parent / "cmanager"),))
        self.site = site
        self.configure("")

    def configure(self, text: str) -> None:
        """Write its plugins.toml, in which the images are those of the checkout's registry directory."""
        assert self.config, "it has one"
        self.config.write_text(f'[image.layers]\nregistry = "{self._registry}"\n\n{text}')

    def clear(self) -> list[str]:
        """Remove every container by the installed command, as its plugins are not here; what it complains of."""
        names = self.ok("ps", "-aq").split()
        return self("rm", "-f", *names).stderr.splitlines() if names else []


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *_PIP, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"pip {' '.join(arguments)}: {done.stdout}{done.stderr}"
