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
    lowers = [tmp_path / f"layer,{number}:x" for number in range(200)]
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

    assert in_private_namespace(act) == "201 True"
    assert (tmp_path / "upper" / "new").exists()


@pytest.mark.parametrize(
    ("release", "most"),
    [
        ("5.14.0-503.el9.x86_64", 200),
        ("6.1.0-56-cloud-amd64", 200),
        ("6.7.12", 200),
        ("6.8-rc1", 500),
        ("6.18.44", 500),
        ("7.0+", 500),
    ],
)
def test_how_many_layers_a_kernel_takes(release: str, most: int) -> None:
    assert mounts.overlay_layers(release) == most
