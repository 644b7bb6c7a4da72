"""Overlay on kernels before 6.8, which have no `lowerdir+`: the same mount, made with mount(2)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmanager.linux import mounts
from cmanager.linux.mounts import Mount


def in_private_namespace(act: object) -> str:
    """What `act` returns in a child with a mount namespace of its own; its error as text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            mounts.make_private_namespace()
            os.write(write, str(act()).encode())  # type: ignore[operator]
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    answer = os.read(read, 4096).decode()
    os.close(read)
    return answer


@pytest.mark.root
def test_many_layers_with_awkward_names(tmp_path: Path) -> None:
    lowers = [tmp_path / f"layer,{number}:x" for number in range(100)]
    for number, lower in enumerate(lowers):
        lower.mkdir()
        (lower / f"file{number}").touch()
    for name in ("upper", "work", "root"):
        (tmp_path / name).mkdir()
    options = [f"lowerdir+={lower}" for lower in lowers]
    options += [f"upperdir={tmp_path}/upper", f"workdir={tmp_path}/work", "index=off", "metacopy=off", "nodev"]
    mount = Mount("overlay", "overlay", "/", tuple(options))

    def act() -> str:
        mounts._make_overlay(mount, str(tmp_path / "root"))
        (tmp_path / "root" / "new").touch()
        flags = os.statvfs(tmp_path / "root").f_flag
        return f"{len(os.listdir(tmp_path / 'root'))} {bool(flags & os.ST_NODEV)}"

    assert in_private_namespace(act) == "101 True"
    assert (tmp_path / "upper" / "new").exists()


@pytest.mark.root
def test_more_layers_than_the_kernel_takes_are_told(tmp_path: Path) -> None:
    lowers = [tmp_path / str(number) for number in range(300)]
    for lower in (*lowers, tmp_path / "upper", tmp_path / "work", tmp_path / "root"):
        lower.mkdir()
    options = [*(f"lowerdir+={lower}" for lower in lowers), f"upperdir={tmp_path}/upper", f"workdir={tmp_path}/work"]
    mount = Mount("overlay", "overlay", "/", tuple(options))
    told = in_private_namespace(lambda: mounts._make_overlay(mount, str(tmp_path / "root")))
    assert "300 layers" in told
    assert "vfs" in told


@pytest.mark.parametrize(
    ("release", "appends"),
    [
        ("5.14.0-503.el9.x86_64", False),
        ("6.1.0-56-cloud-amd64", False),
        ("6.7.12", False),
        ("6.8-rc1", True),
        ("6.18.44", True),
        ("7.0+", True),
    ],
)
def test_the_kernel_is_not_asked_for_what_it_lacks(release: str, appends: bool) -> None:
    assert mounts._overlay_appends(release) is appends
