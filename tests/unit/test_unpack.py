"""What the unpacker keeps of an archive, what replaces what, and its bounds."""

from __future__ import annotations

import gzip
import hashlib
import os
import resource
import stat
import sys
import tarfile
import types
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmanager.errors import CorruptError, HostError, UnsupportedError
from cmanager.linux.layers import Apply, Bounds, Overlay, decompress, unpack
from cmanager.linux.layers.usage import disk_usage
from cmanager.model import Layer
from cmanager.testing.storage import (
    Member,
    archive,
    directory,
    file,
    hardlink,
    in_child,
    layer_of,
    listing,
    member,
    symlink,
)

pytestmark = pytest.mark.root
TAR = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture(params=[Overlay, Apply])
def style(request: pytest.FixtureRequest) -> Any:
    return request.param()


def write_layer(tmp_path: Path, style: Any, layer: Layer, bounds: Bounds | None = None) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    unpack(layer.path, layer.media_type, layer.diff_id, str(tree), style, bounds)
    return tree


def write(tmp_path: Path, style: Any, *members: Member, bounds: Bounds | None = None) -> Path:
    return write_layer(tmp_path, style, layer_of(tmp_path / "blobs", archive(*members)), bounds)


# -- what is kept -------------------------------------------------------------------------------------------------


def test_everything_is_kept(tmp_path: Path, style: Any) -> None:
    """Kinds, modes, owners, times, links, devices and xattrs are those of the archive."""
    tree = write(
        tmp_path,
        style,
        directory("./", mode=0o711, uid=1, gid=2, mtime=11.5),
        directory("d", mode=0o2775, uid=3, gid=4, mtime=12.25, xattrs={"user.d": "d"}),
        file("d/f", b"content", mode=0o440, uid=5, gid=6, mtime=-13.5, xattrs={"user.f": "f"}),
        symlink("d/s", "../nowhere", uid=7, gid=8, mtime=14),
        hardlink("d/h", "d/f"),
        hardlink("d/sh", "d/s"),
        member("d/p", tarfile.FIFOTYPE, mode=0o622, uid=9),
        member("d/c", tarfile.CHRTYPE, devmajor=1, devminor=5, mode=0o666, gid=10),
        member("d/b", tarfile.BLKTYPE, devmajor=254, devminor=300, mode=0o600),
        file("d/max", uid=(1 << 32) - 2, gid=(1 << 32) - 2),
    )
    assert oct(tree.stat().st_mode) == "0o40711"
    assert tree.stat().st_mtime_ns == 11_500_000_000
    found = listing(str(tree / "d"))
    assert {name: row["mode"] for name, row in found.items()} == {
        ".": "0o42775",
        "f": "0o100440",
        "h": "0o100440",
        "s": "0o120777",
        "sh": "0o120777",
        "p": "0o10622",
        "c": "0o20666",
        "b": "0o60600",
        "max": "0o100644",
    }
    assert {name: row["mtime"] for name, row in found.items() if name in (".", "f", "s")} == {
        ".": 12_250_000_000,
        "f": -13_500_000_000,
        "s": 14_000_000_000,
    }
    owners = {".": [3, 4], "f": [5, 6], "s": [7, 8], "p": [9, 0], "c": [0, 10], "max": [(1 << 32) - 2] * 2}
    assert {name: found[name]["owner"] for name in owners} == owners
    assert (found["c"]["device"], found["b"]["device"]) == (os.makedev(1, 5), os.makedev(254, 300))
    assert os.stat(tree / "d/f").st_nlink == os.lstat(tree / "d/s").st_nlink == 2
    assert (found["."]["xattrs"], found["f"]["xattrs"]) == ({"user.d": "64"}, {"user.f": "66"})


def test_setuid_and_capabilities_are_kept(tmp_path: Path, style: Any) -> None:
    """Mode 6755 and a file capability survive the change of owner that would clear them."""
    capability = bytes.fromhex("01000002 00040000 00000000 00000000 00000000")
    text = {"security.capability": capability.decode()}
    tree = write(tmp_path, style, file("f", b"x", mode=0o6755, uid=1000, gid=1000, xattrs=text))
    assert oct((tree / "f").stat().st_mode) == "0o106755"
    assert os.getxattr(tree / "f", "security.capability") == capability


def test_directories_that_no_entry_describes(tmp_path: Path, style: Any) -> None:
    """They are made with mode 0755, owner 0:0 and time 0, below a setgid directory too."""
    tree = write(tmp_path, style, directory("g", mode=0o2755, gid=7), file("g/a/b/f"))
    for name in ("g/a", "g/a/b"):
        info = (tree / name).stat()
        assert (oct(info.st_mode), info.st_uid, info.st_gid, info.st_mtime) == ("0o40755", 0, 0, 0)


def test_holes_stay_holes(tmp_path: Path, style: Any) -> None:
    """A sparse file takes the space of its data, at its full size."""
    import subprocess

    with open(tmp_path / "holes", "wb") as made:
        made.seek(64 << 20)
        made.write(b"end")
        made.truncate(80 << 20)
    content = subprocess.run(["/bin/tar", "-cS", "-C", tmp_path, "holes"], capture_output=True, check=True).stdout
    info = (write_layer(tmp_path, style, layer_of(tmp_path / "blobs", content)) / "holes").stat()
    assert info.st_size == 80 << 20
    assert info.st_blocks * 512 < 1 << 20


def test_a_tree_of_many_directories(tmp_path: Path, style: Any) -> None:
    """More directories than are kept open at once, visited in any order, all get their files and their times."""
    names = [f"d{n}" for n in range(100)]
    members = [directory(name, mtime=n) for n, name in enumerate(names)]
    members += [file(f"{name}/{turn}", name.encode()) for turn in range(3) for name in names]
    members += [hardlink(f"{name}/h", f"{names[n - 50]}/0") for n, name in enumerate(names)]
    tree = write(tmp_path, style, *members)
    assert [(tree / name).stat().st_mtime for name in names] == list(range(100))
    assert [(tree / name / "h").read_text() for name in names] == [names[n - 50] for n in range(100)]


def test_no_descriptor_stays_open(tmp_path: Path, style: Any) -> None:
    """After success and after failure every descriptor is closed and the helper thread is gone."""
    import threading

    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    write(tmp_path, style, *(file(f"d{n}/f") for n in range(50)))
    with pytest.raises(CorruptError):
        write(tmp_path, type(style)(), *(file(f"e{n}/f", os.urandom(100_000)) for n in range(80)), file("../x"))
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


# -- what replaces what -------------------------------------------------------------------------------------------

MAKERS = {
    "file": lambda name: file(name, b"new"),
    "directory": lambda name: directory(name),
    "symlink": lambda name: symlink(name, "target"),
    "hard link": lambda name: hardlink(name, "source"),
    "FIFO": lambda name: member(name, tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("old", MAKERS)
@pytest.mark.parametrize("new", MAKERS)
def test_the_last_entry_wins(tmp_path: Path, style: Any, old: str, new: str) -> None:
    """Whatever an entry is, a later one of the same name replaces it."""
    tree = write(tmp_path, style, file("source", b"source"), MAKERS[old]("x"), MAKERS[new]("x"))
    kinds = {"file": "-", "directory": "d", "symlink": "l", "hard link": "-", "FIFO": "p"}
    assert stat.filemode((tree / "x").lstat().st_mode)[0] == kinds[new]
    assert (tree / "source").read_bytes() == b"source"


def test_a_full_directory_is_replaced(tmp_path: Path, style: Any) -> None:
    """A file takes the place of a directory with content, and a directory of that file begins empty."""
    tree = write(tmp_path, style, directory("d"), file("d/e/f"), file("d", b"x"), directory("d"), file("d/g"))
    assert os.listdir(tree / "d") == ["g"]


def test_a_directory_twice(tmp_path: Path, style: Any) -> None:
    """A directory entry keeps the files that are there and brings its own attributes, whole."""
    tree = write(
        tmp_path, style, directory("d", xattrs={"user.a": "1"}), file("d/f"), directory("d", mode=0o700, mtime=9)
    )
    info = (tree / "d").stat()
    assert (os.listdir(tree / "d"), oct(info.st_mode), info.st_mtime) == (["f"], "0o40700", 9)
    assert os.listxattr(tree / "d") == []


def test_overwriting_one_name_leaves_the_other(tmp_path: Path, style: Any) -> None:
    """A file that replaces a hard link leaves the file's other names alone."""
    tree = write(tmp_path, style, file("a", b"old"), hardlink("b", "a"), file("b", b"new"))
    assert ((tree / "a").read_bytes(), (tree / "b").read_bytes()) == (b"old", b"new")


def test_a_hard_link_to_itself(tmp_path: Path, style: Any) -> None:
    """A second entry for a hard link, or one that names itself, changes nothing."""
    tree = write(tmp_path, style, file("a", b"x"), hardlink("b", "a"), hardlink("b", "a"), hardlink("a", "a"))
    assert ((tree / "a").read_bytes(), (tree / "a").stat().st_nlink) == (b"x", 2)


def test_a_hard_link_to_a_lower_layer(tmp_path: Path) -> None:
    """A hard link must lead to a file of its own layer: what is below is shared by other images."""
    write(tmp_path, Apply(), file("lower"))
    with pytest.raises(CorruptError, match="not a file of the layer"):
        write(tmp_path, Apply(), hardlink("h", "lower"))


def test_times_of_the_layers_below(tmp_path: Path) -> None:
    """A directory that a layer only uses keeps its time, though files come and go in it."""
    write(tmp_path, Apply(), directory("./", mtime=3), directory("d", mtime=5), file("d/a"), directory("e", mtime=7))
    tree = write(tmp_path, Apply(), file("d/.wh.a"), file("d/b"), file("e/.wh..wh..opq"))
    assert [(tree / name).stat().st_mtime for name in ("", "d", "e")] == [3, 5, 7]


# -- overlay's own form -------------------------------------------------------------------------------------------


def test_whiteouts_as_overlayfs_wants_them(tmp_path: Path) -> None:
    """A whiteout is a character device 0:0, an opaque directory has an xattr, and both can stand in either order."""
    style = Overlay()
    tree = write(
        tmp_path,
        style,
        file(".wh.gone"),
        directory("opaque"),
        file("opaque/.wh..wh..opq"),
        file("implied/.wh.f"),
        file(".wh.back"),
        directory("back"),
        directory("before"),
        file(".wh.before"),
        file(".wh.used"),
        file("used/f"),
    )
    for name in ("gone", "implied/f"):
        info = (tree / name).lstat()
        assert stat.S_ISCHR(info.st_mode), name
        assert info.st_rdev == 0
    opaque = {name for name in os.listdir(tree) if "trusted.overlay.opaque" in os.listxattr(tree / name)}
    assert opaque == {"opaque", "back", "before", "used"}
    assert style.missing == {b"", b"implied"}


def test_directories_that_are_missing(tmp_path: Path) -> None:
    """The style knows which directories the layer uses without describing them, by their real path."""
    style = Overlay()
    write(
        tmp_path, style, file("a/b/f"), directory("a/b"), symlink("l", "c/d"), file("l/f"), directory("./"), file("e/f")
    )
    assert style.missing == {b"a", b"c", b"c/d", b"e"}


def test_a_file_system_without_trusted_xattrs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where overlayfs could not work anyway the error says what to use instead."""

    def refuse(*_: Any) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(UnsupportedError, match="use storage vfs"):
        write(tmp_path, Overlay(), directory("d"), file("d/.wh..wh..opq"))


def test_a_file_system_without_xattrs(tmp_path: Path, style: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system keeps no xattrs files are there without them."""

    def refuse(*_: Any) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    assert (write(tmp_path, style, file("f", b"x", xattrs={"user.k": "v"})) / "f").read_bytes() == b"x"


# -- what a blob is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "gzip", "gzip in members"])
@pytest.mark.parametrize("media_type", [TAR, TAR + "+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"])
def test_forms_of_a_blob(tmp_path: Path, style: Any, form: str, media_type: str) -> None:
    """Plain tar and gzip, in one member or several, are told by their first bytes."""
    content = archive(file("f", os.urandom(3 << 20)))
    stored = {
        "plain": content,
        "gzip": gzip.compress(content),
        "gzip in members": b"".join(
            gzip.compress(content[at : at + 100_000]) for at in range(0, len(content), 100_000)
        ),
    }[form]
    layer = layer_of(tmp_path / "blobs", content, compressed=stored)
    tree = tmp_path / "tree"
    tree.mkdir()
    unpack(layer.path, media_type, layer.diff_id, str(tree), style)
    assert (tree / "f").stat().st_size == 3 << 20


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", TAR + "+gzip+encrypted", TAR + "+xz", TAR + "\n", "application/vnd.oci.image.manifest.v1+json"],
)
def test_media_types_that_are_no_layer(tmp_path: Path, media_type: str) -> None:
    """What is no tar layer is refused before anything is read."""
    with pytest.raises(UnsupportedError, match="media type"):
        unpack("/nonexistent", media_type, "sha256:", str(tmp_path), Overlay())


@pytest.mark.parametrize("tail", [b"\0", b"garbage", bytes(512)])
def test_bytes_after_gzip(tmp_path: Path, style: Any, tail: bytes) -> None:
    """A gzip blob ends where its last member ends."""
    content = archive(file("f"))
    with pytest.raises(CorruptError):
        write_layer(tmp_path, style, layer_of(tmp_path / "blobs", content, compressed=gzip.compress(content) + tail))


def test_zstd_without_its_package(tmp_path: Path, style: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zstd layer without the package is refused, naming the package; no program is tried."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setenv("PATH", str(fake_tools(tmp_path)))
    layer = layer_of(tmp_path / "blobs", archive(file("f")), compressed=b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(UnsupportedError, match="install the python package zstandard"):
        write_layer(tmp_path, style, layer)
    assert not (tmp_path / "called").exists()


def test_no_program_is_called(tmp_path: Path, style: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs on the PATH that look like decompressors are never run (I-24)."""
    monkeypatch.setenv("PATH", str(fake_tools(tmp_path)))
    write(tmp_path, style, file("f"))
    assert not (tmp_path / "called").exists()


def fake_tools(tmp_path: Path) -> Path:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("xz", "zstd", "unpigz", "gzip", "gunzip", "tar", "sh"):
        (tools / name).write_text(f"#!/bin/sh\n: > {tmp_path}/called\n")
        (tools / name).chmod(0o755)
    return tools


def fake_zstandard(content: bytes) -> Any:
    """A module with the part of zstandard's interface that is used; reads its source as the real one does."""
    module: Any = types.ModuleType("zstandard")

    class ZstdError(Exception):
        pass

    class Reader:
        def __init__(self, source: Any, read_size: int) -> None:
            self.source, self.read_size, self.left = source, read_size, content

        def read(self, size: int) -> bytes:
            if self.source.read(self.read_size).startswith(b"\x28\xb5\x2f\xfdbad"):
                raise ZstdError("Data corruption detected")
            piece, self.left = self.left[:size], self.left[size:]
            return piece

    class ZstdDecompressor:
        def __init__(self, max_window_size: int) -> None:
            assert max_window_size == 1 << 27

        def stream_reader(self, source: Any, read_size: int, read_across_frames: bool) -> Reader:
            assert read_across_frames
            return Reader(source, read_size)

    module.ZstdError, module.ZstdDecompressor = ZstdError, ZstdDecompressor
    return module


def test_zstd_with_its_package(tmp_path: Path, style: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package a zstd layer is read within the same bounds, and its errors are CorruptError."""
    content = archive(file("f", os.urandom(3 << 20)))
    monkeypatch.setitem(sys.modules, "zstandard", fake_zstandard(content))
    layer = layer_of(tmp_path / "blobs", content, compressed=b"\x28\xb5\x2f\xfdgood" + bytes(100))
    assert (write_layer(tmp_path, style, layer) / "f").stat().st_size == 3 << 20
    for stored, bounds in ((b"\x28\xb5\x2f\xfdbad", Bounds()), (b"\x28\xb5\x2f\xfdgood", Bounds(grace=0, ratio=2))):
        with pytest.raises(CorruptError):
            write_layer(tmp_path, type(style)(), layer_of(tmp_path / "blobs", content, compressed=stored), bounds)


# -- bounds -------------------------------------------------------------------------------------------------------


def bomb(size: int) -> Iterator[bytes]:
    """A gzip blob of a tar with one file of `size` zeros."""
    info = tarfile.TarInfo("zeros")
    info.size = size
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield packer.compress(info.tobuf())
    for _ in range(size >> 20):
        yield packer.compress(bytes(1 << 20))
    yield packer.compress(bytes(1024)) + packer.flush()


def test_a_decompression_bomb(tmp_path: Path, style: Any) -> None:
    """1 GiB of zeros in 1 MB stops after 100 MiB, the disk is not filled, and memory stays small."""
    layer = layer_of(tmp_path / "blobs", b"", compressed=b"".join(bomb(1 << 30)))
    tree = tmp_path / "tree"

    def action() -> Any:
        with pytest.raises(CorruptError, match="decompression bomb"):
            write_layer(tmp_path, style, layer)
        return [disk_usage(str(tree)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    written, memory = in_child(action)
    assert written <= 110 << 20
    assert memory - before < 50 << 10


@pytest.mark.parametrize(
    ("bounds", "members", "said"),
    [
        (Bounds(size=1 << 20), [file("f", bytes(1 << 20))], "max_layer_bytes"),
        (Bounds(entries=10), [file(f"f{n}") for n in range(11)], "more than 10 files"),
        (Bounds(entries=10), [file("a/b/c/d/e/f/g/h/i/j/k")], "more than 10 files"),
        (Bounds(entries=10), [file(f".wh.f{n}") for n in range(11)], "more than 10 files"),
        (Bounds(depth=3), [file("a/b/c/d/e")], "3 directories"),
        (Bounds(depth=3), [directory(n) for n in ("a", "a/b", "a/b/c", "a/b/c/d")], "3 directories"),
        (Bounds(names=50), [directory("d" * 10 + str(n)) for n in range(9)], "directory names"),
    ],
)
def test_bounds(tmp_path: Path, style: Any, bounds: Bounds, members: list[Member], said: str) -> None:
    """Each bound is a CorruptError of its own."""
    with pytest.raises(CorruptError, match=said):
        write(tmp_path, style, *members, bounds=bounds)


def test_within_bounds(tmp_path: Path, style: Any) -> None:
    """What is exactly within its bounds is unpacked."""
    content = archive(file("a/b/c"))
    layer = layer_of(tmp_path / "blobs", content)
    tree = write_layer(tmp_path, style, layer, Bounds(size=len(content), entries=3, depth=2, names=4))
    assert (tree / "a/b/c").exists()


def test_room_on_the_disk_is_looked_at_first(tmp_path: Path, style: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that does not fit into nine tenths of the free space is refused before it is written."""
    info = os.statvfs(tmp_path)
    small = os.statvfs_result((*info[:3], 250, 250, *info[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: small)
    with pytest.raises(HostError, match="no space left"):
        write(tmp_path, style, file("large", bytes(250 * info.f_frsize)))
    assert os.listdir(tmp_path / "tree") == []


def test_pieces_of_members_without_end(tmp_path: Path) -> None:
    """Thousands of empty gzip members, which make no byte, end in good time."""
    blob = tmp_path / "blob"
    blob.write_bytes(gzip.compress(b"") * 20_000)
    assert list(decompress.pieces(str(blob), Bounds())) == []


def test_the_digest_covers_the_tail(tmp_path: Path, style: Any) -> None:
    """The diff id is that of all bytes, those after the end of the archive included."""
    content = archive(file("f")) + b"tail"
    write_layer(tmp_path, style, layer_of(tmp_path / "blobs", content))
    lie = f"sha256:{hashlib.sha256(content[:-4]).hexdigest()}"
    with pytest.raises(CorruptError, match="its content is sha256:"):
        write_layer(tmp_path, type(style)(), layer_of(tmp_path / "blobs", content, diff_id=lie))
