"""The launcher finds the environment it is installed in; interpreters here are scripts that tell their arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).parent.parent.parent / "bin/cmanager"
_TELLS = '#!/bin/sh\nfor word in "$0" "$@"; do printf "%s\\n" "$word"; done\n'
_CLIENT = "cmanager/warm/command.py"


def interpreter(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_TELLS)
    path.chmod(0o755)
    return path


def installed(prefix: Path, packages: str = "lib/python3.11/site-packages") -> Path:
    """A launcher and a client below `prefix`; the launcher's path."""
    client = prefix / packages / _CLIENT
    client.parent.mkdir(parents=True)
    client.touch()
    (prefix / "bin").mkdir(exist_ok=True)
    return Path(shutil.copy(LAUNCHER, prefix / "bin/cmanager"))


def told(*command: str | Path, path: str = "", cwd: Path | None = None) -> list[str]:
    environment = {"PATH": f"{path}:{os.environ['PATH']}"}
    done = subprocess.run(list(map(str, command)), env=environment, cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def resolved(words: list[str]) -> list[str]:
    return [words[0], *words[1:3], os.path.realpath(words[3]), *words[4:]]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with cmanager in it."""
    interpreter(tmp_path / "venv/bin/python")
    installed(tmp_path / "venv")
    return tmp_path / "venv"


def expected(environment: Path, name: str | Path, *arguments: str) -> list[str]:
    client = os.path.realpath(environment / "lib/python3.11/site-packages" / _CLIENT)
    return [f"{environment}/bin/python", "-I", "-S", client, str(name), *arguments]


def test_the_interpreter_beside_it_gets_every_argument_as_it_is(environment: Path) -> None:
    launcher = environment / "bin/cmanager"
    arguments = ["run", "--name", "a b", "", "*", "$HOME", "-e", "X=1\t2"]
    assert resolved(told(launcher, *arguments)) == expected(environment, launcher, *arguments)


def test_it_is_found_through_symlinks(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/absolute").symlink_to(environment / "bin/cmanager")
    (tmp_path / "bin/cmanager").symlink_to("absolute")
    (tmp_path / "link").symlink_to("bin/cmanager")
    for way in (tmp_path / "bin/cmanager", tmp_path / "link"):
        assert resolved(told(way, "ps")) == expected(environment, way, "ps")
    found = resolved(told("cmanager", "ps", path=str(tmp_path / "bin")))
    assert found == expected(environment, tmp_path / "bin/cmanager", "ps")


def test_it_may_be_called_from_its_own_directory(environment: Path) -> None:
    words = told("sh", "cmanager", "ps", cwd=environment / "bin")
    assert (words[0], words[-1]) == ("./python", "ps")


@pytest.mark.parametrize("packages", ["lib/python3.12/site-packages", "lib/python3.12/dist-packages"])
def test_beside_no_interpreter_one_of_its_version_is_taken(tmp_path: Path, packages: str) -> None:
    stranger = interpreter(tmp_path / "path/python3.12")
    launcher = installed(tmp_path / "usr/local", packages)
    words = resolved(told(launcher, "ps", path=str(stranger.parent)))
    assert words[0] == str(stranger)
    assert words[3] == str(tmp_path / "usr/local" / packages / _CLIENT)


def test_without_a_package_it_says_so(tmp_path: Path) -> None:
    shutil.copy(LAUNCHER, tmp_path / "cmanager")
    done = subprocess.run([str(tmp_path / "cmanager")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("cmanager: there is no package")) == (125, True)
