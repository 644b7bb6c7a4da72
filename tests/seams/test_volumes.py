"""Volumes of the storage seam: one suite over every provider, and how a volume is filled."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from cmanager.errors import UnsupportedError
from cmanager.linux import files, mounts
from cmanager.linux.mounts import Mount
from cmanager.linux.volumes.copy import copy_tree
from cmanager.linux.volumes.store import VolumeStore
from cmanager.model import Volume
from cmanager.supervisor.volumes import fill
from cmanager.testing.storage import listing
from cmanager.testing.volumes import VolumesSuite

pytestmark = pytest.mark.root


class TestOverlay(VolumesSuite):
    provider = "overlay"


class TestVfs(VolumesSuite):
    provider = "vfs"


@pytest.fixture
def store(tmp_path: Path) -> VolumeStore:
    return VolumeStore(str(tmp_path / "state"))


@pytest.fixture
def volume(store: VolumeStore) -> Volume:
    return store.create("data", {})


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A root file system with a little of everything in `srv`."""
    root = tmp_path / "rootfs"
    srv = root / "srv"
    (srv / "deep/er").mkdir(parents=True)
    (srv / "file").write_text("content")
    (srv / "twin").hardlink_to(srv / "file")
    (srv / "deep/twin").hardlink_to(srv / "file")
    (srv / "link").symlink_to("/etc/passwd")
    os.mkfifo(srv / "fifo")
    os.mknod(srv / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(srv / "socket"))
    with open(srv / "deep/er/sparse", "wb") as file:
        file.seek(8 << 20)
        file.write(b"end")
        file.truncate(16 << 20)
    os.setxattr(srv / "file", "user.mine", b"\0value")
    os.setxattr(srv / "deep", "user.of.directory", b"x")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(srv / "deep/er/sparse", "security.capability", capability)
    os.chown(srv / "file", 7, 8)
    os.chmod(srv / "file", 0o4751)
    os.chown(srv / "link", 9, 10, follow_symlinks=False)
    os.chown(srv, 11, 12)
    os.chmod(srv, 0o1770)
    for number, path in enumerate(sorted(srv.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number), follow_symlinks=False)
    os.utime(srv, ns=(0, 1_500_000_000_000_000_001))
    return root


def filled(volume: Volume, root: Path, path: str = "/srv", first: int = 0) -> None:
    fd = os.open(root, os.O_PATH)
    try:
        fill(volume, fd, path, first)
    finally:
        os.close(fd)


# -- filling ------------------------------------------------------------------------------------------------------


def test_a_filled_volume_is_what_the_image_has(volume: Volume, image: Path) -> None:
    filled(volume, image)
    assert listing(volume.mountpoint) == listing(str(image / "srv"))
    sparse = os.stat(f"{volume.mountpoint}/deep/er/sparse")
    assert (sparse.st_size, sparse.st_blocks < 1 << 11) == (16 << 20, True)


def test_a_volume_with_files_is_left_alone(volume: Volume, image: Path) -> None:
    Path(volume.mountpoint, "mine").write_text("kept")
    before = listing(volume.mountpoint)
    filled(volume, image)
    assert listing(volume.mountpoint) == before


def test_an_empty_directory_of_the_image_gives_its_owner_and_mode(volume: Volume, image: Path) -> None:
    (image / "empty").mkdir()
    os.chown(image / "empty", 1000, 1001)
    os.chmod(image / "empty", 0o2750)
    filled(volume, image, "/empty")
    info = os.stat(volume.mountpoint)
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (1000, 1001, 0o2750)


def test_what_the_image_does_not_have_leaves_the_volume_empty(volume: Volume, image: Path) -> None:
    (image / "plain").write_text("a file")
    for path in ("/nothing", "/plain", "/plain/below"):
        filled(volume, image, path)
    assert os.listdir(volume.mountpoint) == []


def test_others_who_have_it_mounted_see_it_filled(volume: Volume, image: Path) -> None:
    mounted = os.open(volume.mountpoint, os.O_RDONLY)
    filled(volume, image)
    assert sorted(os.listdir(mounted)) == sorted(os.listdir(image / "srv"))
    os.close(mounted)


@pytest.mark.parametrize("target", ["/../../outside", "../outside", "{outside}", "/proc/self/root{outside}"])
def test_no_link_of_the_image_leads_out(volume: Volume, image: Path, tmp_path: Path, target: str) -> None:
    """CVE-2022-23648: what is copied is always the image's own."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's")
    (image / "volume").symlink_to(target.format(outside=outside))
    filled(volume, image, "/volume")
    assert os.listdir(volume.mountpoint) == []
    filled(volume, image, f"/../..{outside}")
    assert os.listdir(volume.mountpoint) == []


def test_a_link_inside_the_image_is_followed_there(volume: Volume, image: Path) -> None:
    (image / "volume").symlink_to("/../../srv/deep")
    filled(volume, image, "/volume")
    assert os.listdir(volume.mountpoint) == os.listdir(image / "srv/deep")


def test_a_link_to_the_root_is_refused(volume: Volume, image: Path) -> None:
    (image / "all").symlink_to("/")
    with pytest.raises(UnsupportedError, match="/all"):
        filled(volume, image, "/all")


def test_ids_of_a_user_namespace_are_taken_off(volume: Volume, image: Path) -> None:
    for path in (image / "srv", *(image / "srv").rglob("*")):
        info = path.lstat()
        if info.st_uid < 100_000:  # once for all names of a file
            os.chown(path, 100_000 + info.st_uid, 100_000 + info.st_gid, follow_symlinks=False)
    filled(volume, image, first=100_000)
    assert [os.lstat(f"{volume.mountpoint}/{name}").st_uid for name in ("", "file", "link", "deep")] == [11, 7, 9, 0]


# -- a death in the middle ----------------------------------------------------------------------------------------


def test_a_death_while_copying_leaves_an_empty_volume_that_the_next_use_fills(volume: Volume, image: Path) -> None:
    for number in range(3000):
        (image / f"srv/many{number}").write_text(str(number))
    cut = False
    for _ in range(20):
        child = os.fork()
        if child == 0:
            filled(volume, image)
            os._exit(0)
        copy = Path(volume.staging, "filling")
        while not (copy.is_dir() and len(os.listdir(copy)) > 100):
            if os.waitpid(child, os.WNOHANG) != (0, 0):
                break
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            cut = not os.listdir(volume.mountpoint) and copy.is_dir()
        if cut:
            break
        for name in os.listdir(volume.mountpoint):
            files.remove_tree(f"{volume.mountpoint}/{name}")
    assert cut, "the copy was never caught in the middle"
    filled(volume, image)
    assert listing(volume.mountpoint) == listing(str(image / "srv"))
    assert os.listdir(volume.staging) == ["lock"]


def test_a_death_while_moving_is_finished_by_whoever_comes_next(volume: Volume, image: Path) -> None:
    expected = listing(str(image / "srv"))
    source = os.open(image / "srv", os.O_RDONLY)
    copy = Path(volume.staging, "filled")
    copy.mkdir()
    target = os.open(copy, os.O_RDONLY)
    copy_tree(source, target)
    os.close(source)
    os.close(target)
    for name in ("file", "deep"):
        os.rename(copy / name, f"{volume.mountpoint}/{name}")
    Path(volume.mountpoint, "twin").write_text("another container's")
    fill(volume, -1, "/srv")
    assert Path(volume.mountpoint, "twin").read_text() == "another container's"
    found = listing(volume.mountpoint)
    assert found.keys() == expected.keys()
    assert all(found["."][key] == expected["."][key] for key in ("mode", "owner", "xattrs"))
    assert found["deep/er/sparse"] == expected["deep/er/sparse"]
    assert os.listdir(volume.staging) == ["lock"]


def test_a_failed_copy_leaves_nothing(volume: Volume, image: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        _on_a_small_disk(volume, image)
    assert os.listdir(volume.mountpoint) == []
    assert os.listdir(volume.staging) == ["lock"]


def _on_a_small_disk(volume: Volume, image: Path) -> None:
    """The same volume on a file system that is too small for what comes."""
    (image / "srv/large").write_bytes(os.urandom(4 << 20))
    home = Path(volume.mountpoint).parent
    child = os.fork()
    if child == 0:
        code = 1
        try:
            mounts.make_private_namespace()
            mounts._make_first(Mount("tmpfs", "tmpfs", "/", ("size=1m",)), str(home))
            os.mkdir(volume.mountpoint)
            os.mkdir(volume.staging)
            try:
                filled(volume, image)
            except OSError as error:
                clean = (os.listdir(volume.mountpoint), os.listdir(volume.staging)) == ([], ["lock"])
                code = error.errno if clean and error.errno else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    (Path(volume.staging) / "lock").touch()
    raise OSError(code, os.strerror(code))


# -- records ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{", "[]", '{"labels": 3}', "[" * 100_000, '{"labels": {"a": 1}}'])
def test_a_broken_record_costs_no_data(store: VolumeStore, volume: Volume, content: str) -> None:
    Path(volume.mountpoint, "file").write_text("kept")
    Path(volume.mountpoint).parent.joinpath("volume.json").write_text(content)
    found = store.find("data")
    assert "volume.json" in found.problem
    assert (found.mountpoint, found.anonymous) == (volume.mountpoint, False)
    assert [each.name for each in store.list()] == ["data"]
    store.remove("data")
    assert store.list() == ()


def test_a_death_while_making_one_leaves_none(store: VolumeStore, volume: Volume, tmp_path: Path) -> None:
    left = tmp_path / "state/staging/volume-half"
    left.mkdir()
    (left / "data").mkdir()
    assert [each.name for each in store.list()] == ["data"]
    assert os.listdir(store.create("half", {}).mountpoint) == []
    assert not left.exists()
