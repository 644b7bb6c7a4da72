"""What execve(2) would say of a program, found out beforehand, and without touching what is not asked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cmanager.errors import CmanagerError, CommandError
from cmanager.linux.executable import Identity, check
from cmanager.linux.mounts import Mount

pytestmark = pytest.mark.root
_PROGRAM = "/bin/true"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with bin/good (a program), bin/text, bin/closed (not executable) and bin/lost (its interpreter is not)."""
    top = tmp_path / "root"
    (top / "bin").mkdir(parents=True)
    shutil.copy(_PROGRAM, top / "bin/good")
    for name, content in (("text", "no program\n"), ("lost", "#!/no/such\n"), ("script", "#! /bin/good -x\n")):
        (top / "bin" / name).write_text(content)
        (top / "bin" / name).chmod(0o755)
    shutil.copy(_PROGRAM, top / "bin/closed")
    (top / "bin/closed").chmod(0o644)
    os.mkfifo(top / "bin/fifo", 0o755)
    return top


def code(root: Path, name: str, *given: Mount, who: Identity | None = None) -> int:
    """The exit code that a container would have, 0 when it would run."""
    try:
        check(str(root), given, name, who or Identity(path="/sbin:/bin"))
    except CommandError as error:
        return error.exit_code
    return 0


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        *(("good", 0), ("/bin/good", 0), ("script", 0)),
        *(("absent", 127), ("/absent", 127), ("/bin/good/below", 127), ("lost", 127)),
        *(("text", 126), ("closed", 126), ("/bin", 126), ("fifo", 126)),
    ],
)
def test_as_execvp_would(root: Path, name: str, wanted: int) -> None:
    assert code(root, name) == wanted


def test_in_the_mounts_of_the_container(root: Path, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    shutil.copy(_PROGRAM, tmp_path / "tools/mine")
    bind = Mount("bind", str(tmp_path / "tools"), "/opt", ("rbind",))
    assert code(root, "/opt/mine", bind) == 0
    assert code(root, "/opt/mine", Mount("bind", bind.source, "/opt", ("rbind", "noexec"))) == 126
    assert code(root, "/opt/mine") == 127


def test_as_the_user(root: Path) -> None:
    (root / "bin/good").chmod(0o700)
    assert code(root, "good") == 0
    assert code(root, "good", who=Identity(1000, 1000, path="/bin")) == 126


def test_the_error_names_the_program(root: Path) -> None:
    with pytest.raises(CommandError, match="cannot execute 'absent': not found in \\$PATH of the container"):
        check(str(root), (), "absent", Identity(path="/bin"))


def test_links_stay_in_the_root(root: Path) -> None:
    (root / "bin/out").symlink_to(_PROGRAM)
    assert code(root, "out") == 127  # it is not in this root


def test_what_is_below_a_mount_that_is_not_made_is_left_alone(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (root / "proc").mkdir()
    mounts = (Mount("proc", "proc", "/proc"), Mount("bind", str(tmp_path / "file"), "/proc/cpuinfo", ("bind",)))
    assert code(root, "good", *mounts, Mount("tmpfs", "tmpfs", "/data")) == 0
    assert list((root / "proc").iterdir()) == []
    assert not (root / "data").exists()


def test_a_missing_directory_is_no_fault_of_the_program(root: Path) -> None:
    with pytest.raises(CmanagerError, match="cannot change directory to /no/such: no such file"):
        check(str(root), (), "good", Identity(cwd="/no/such", path="/bin"))
