"""The storage seam: one suite over every provider, and what they promise beyond it."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from cmanager.errors import ConflictError, CorruptError, HostError, InvalidError, UnsupportedError
from cmanager.linux import syscalls
from cmanager.linux.layers.staging import Staging
from cmanager.linux.mounts import overlay_layers
from cmanager.model import Context, Layer
from cmanager.seams import Storage
from cmanager.testing.storage import (
    StorageSuite,
    archive,
    container_id,
    directory,
    file,
    hardlink,
    in_child,
    inside,
    layer_of,
    listing,
    symlink,
)
from cmanager_overlay import cmanager_storages as overlay_storages
from cmanager_vfs import cmanager_storages as vfs_storages

pytestmark = pytest.mark.root


def make(kind: str, state: Path, **options: Any) -> Storage:
    """A provider by its name, with its state in a directory of its own."""
    offered = {p.name: p for p in (*overlay_storages(), *vfs_storages())}[kind]
    assert offered.options is not None
    context = Context(state_dir=str(state), run_dir=str(state), root=str(state), shipped="")
    made: Storage = offered.factory(context, offered.options(**options))
    return made


class TestOverlay(StorageSuite):
    provider = "overlay"


class TestVfs(StorageSuite):
    provider = "vfs"


@pytest.fixture(params=["overlay", "vfs"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def everything(state: Path) -> set[str]:
    """What a provider has on disk, lock files aside."""
    return {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file() or path.is_symlink()} - {"lock"}


# -- one image, two providers, one tree ---------------------------------------------------------------------------

IMAGES = {
    "whiteouts": (
        [directory("./"), directory("d"), file("d/a", b"1"), file("d/b", b"2"), file("top"), symlink("s", "d")],
        [directory("d"), file("d/.wh.a"), file(".wh.top"), file(".wh.s")],
    ),
    "whiteout of a directory": (
        [directory("d"), directory("d/e"), file("d/e/f", b"1")],
        [file(".wh.d")],
    ),
    "directory that comes back": (
        [directory("d", mode=0o700), file("d/old", b"1")],
        [file(".wh.d"), directory("d"), file("d/new", b"2")],
    ),
    "directory that comes back before its whiteout": (
        [directory("d", mode=0o700), file("d/old", b"1"), directory("d/sub", uid=5), file("d/sub/old")],
        [directory("d"), file("d/new", b"2"), file("d/sub/new"), file(".wh.d")],
    ),
    "whiteout of a directory that is only used": (
        [directory("d", mode=0o700, uid=5), file("d/old", b"1")],
        [file("d/new", b"2"), file(".wh.d")],
    ),
    "whiteout of a file of the same layer": (
        [file("f", b"old")],
        [file("f", b"new"), file(".wh.f")],
    ),
    "opaque after its files": (
        [directory("d", uid=5), file("d/old"), directory("d/sub"), file("d/sub/old")],
        [directory("d"), file("d/new"), directory("d/sub"), file("d/sub/new"), file("d/.wh..wh..opq")],
    ),
    "opaque in a directory that is only used": (
        [directory("d", uid=5, mode=0o711), file("d/old"), directory("d/sub", uid=6), file("d/sub/old")],
        [file("d/sub/new"), file("d/.wh..wh..opq")],
    ),
    "opaque root": (
        [directory("./", mode=0o700, uid=9), file("old"), directory("d"), file("d/old")],
        [file(".wh..wh..opq"), file("new")],
    ),
    "kinds that change": (
        [directory("d"), file("d/in"), file("f"), symlink("s", "d"), directory("e"), file("e/in")],
        [file("d", b"now a file"), directory("f"), file("f/in"), directory("s"), file("s/in"), symlink("e", "f")],
    ),
    "kinds that change twice": (
        [directory("d"), file("d/old")],
        [file("d", b"a file"), directory("d"), file("d/new")],
    ),
    "directories that are only used": (
        [directory("./", mode=0o750, gid=3), directory("tmp", mode=0o1777), directory("srv", uid=5, mtime=77)],
        [file("tmp/x"), file("srv/www/index"), file("opt/a/b")],
        [file("srv/www/other"), file("opt/a/c")],
        [directory("opt", mode=0o711, uid=4)],
    ),
    "used and described far below": (
        [
            directory("a", uid=1),
            directory("a/b", uid=2, mode=0o2755),
            directory("a/b/c", uid=3, xattrs={"user.k": "v"}),
        ],
        [file("a/b/c/one")],
        [directory("a", uid=11)],
        [file("a/b/c/two"), file("a/b/.wh.nothing")],
    ),
    "used below a whiteout": (
        [directory("a", uid=1), directory("a/b", uid=2)],
        [file(".wh.a")],
        [file("a/b/c")],
    ),
    "links in the way of the same layer": (
        [directory("usr"), directory("usr/bin", uid=3)],
        [directory("usr"), directory("usr/bin"), symlink("bin", "usr/bin"), file("bin/tool", b"#!")],
    ),
    "a link to a directory further down": (
        [directory("usr"), directory("usr/bin", uid=3, mode=0o700), file("usr/bin/old")],
        [symlink("bin", "usr/bin"), file("bin/tool", b"#!"), file("bin/.wh.old")],
    ),
    "xattrs of a directory": (
        [directory("d", xattrs={"user.one": "1"}), file("f", xattrs={"user.f": "f"})],
        [directory("d", xattrs={"user.two": "2"})],
    ),
    "hard links": (
        [file("a", b"one"), hardlink("b", "a"), hardlink("c", "b")],
        [file("a", b"two"), hardlink("d", "a")],
    ),
    "no layers": (),
}


@pytest.mark.parametrize("name", IMAGES)
def test_overlay_and_vfs_show_the_same(tmp_path: Path, name: str) -> None:
    """For one image the kernel's overlay of unpacked layers and the layers applied one by one are equal trees."""
    layers = tuple(layer_of(tmp_path / "blobs", archive(*members)) for members in IMAGES[name])
    trees = {}
    for kind in ("overlay", "vfs"):
        parts = make(kind, tmp_path / kind).prepare(container_id(1), layers)
        trees[kind] = inside(parts, tmp_path / "root", listing)
    assert trees["overlay"] == trees["vfs"]


def test_what_the_comparison_sees(tmp_path: Path, kind: str) -> None:
    """Directories that the upper layers only use look as the lower layer describes them, on both providers."""
    layers = tuple(layer_of(tmp_path / "blobs", archive(*m)) for m in IMAGES["directories that are only used"])
    found = inside(make(kind, tmp_path / "s").prepare(container_id(1), layers), tmp_path / "root", listing)
    assert (found["."]["mode"], found["."]["owner"]) == ("0o40750", [0, 3])
    assert found["tmp"]["mode"] == "0o41777"
    assert (found["srv"]["owner"], found["srv"]["mtime"]) == ([5, 0], 77_000_000_000)
    assert (found["srv/www"]["mode"], found["srv/www"]["mtime"]) == ("0o40755", 0)
    assert found["opt"]["owner"] == [4, 0]


def test_overlay_refuses_what_it_cannot_follow(tmp_path: Path) -> None:
    """A layer that writes through a link of a lower layer is refused by overlay, which says that vfs can."""
    base = layer_of(tmp_path / "blobs", archive(directory("usr"), directory("usr/bin"), symlink("bin", "usr/bin")))
    tool = layer_of(tmp_path / "blobs", archive(file("bin/tool", b"#!")))
    overlay = make("overlay", tmp_path / "overlay")
    with pytest.raises(UnsupportedError, match=r"'bin', which is no directory .* use storage vfs"):
        overlay.prepare(container_id(1), (base, tool))
    assert overlay.owned() == frozenset()
    parts = make("vfs", tmp_path / "vfs").prepare(container_id(1), (base, tool))
    assert "usr/bin/tool" in inside(parts, tmp_path / "root", listing)


# -- limits -------------------------------------------------------------------------------------------------------


def test_the_kernels_limit_of_layers(tmp_path: Path) -> None:
    """Overlay stacks what this kernel takes, 500 layers or 200, and refuses one more before it unpacks anything."""
    most = overlay_layers()
    layers = tuple(layer_of(tmp_path / "blobs", archive(file(f"f{n}"))) for n in range(most + 1))
    storage = make("overlay", tmp_path / "state")
    with pytest.raises(UnsupportedError, match=f"{most + 1} layers are more than overlayfs takes"):
        storage.prepare(container_id(1), layers)
    assert not (tmp_path / "state").exists()
    parts = storage.prepare(container_id(1), layers[:most])
    assert len(inside(parts, tmp_path / "root", os.listdir)) == most


def test_a_root_that_is_too_long_for_mount_options(tmp_path: Path) -> None:
    """Overlay says so before it unpacks anything when its paths do not fit into mount options."""
    state = tmp_path / ("x" * 200)
    layer = layer_of(tmp_path / "blobs", archive(file("f")))
    with pytest.raises(UnsupportedError, match="use a shorter --root"):
        make("overlay", state).prepare(container_id(1), (layer,))
    assert not state.exists()


def test_the_size_limit_is_an_option(tmp_path: Path, kind: str) -> None:
    """A layer larger than max_layer_bytes is refused, naming the option."""
    layer = layer_of(tmp_path / "blobs", archive(file("f", bytes(1 << 20))))
    with pytest.raises(CorruptError, match="max_layer_bytes"):
        make(kind, tmp_path / "state", max_layer_bytes=1 << 20).prepare(container_id(1), (layer,))


@pytest.mark.parametrize("id", ["", "../x", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_ids_that_are_none(tmp_path: Path, kind: str, id: str) -> None:
    """An id that is not 64 hex digits never becomes part of a path."""
    storage = make(kind, tmp_path / "state")
    for call in (lambda: storage.prepare(id, ()), lambda: storage.remove(id), lambda: storage.usage(id)):
        with pytest.raises(InvalidError):
            call()
    assert not (tmp_path / "state").exists()


def test_a_diff_id_that_is_none(tmp_path: Path, kind: str) -> None:
    """A diff id that is no digest is refused before any path is built from it."""
    layer = layer_of(tmp_path / "blobs", archive(file("f")), diff_id="sha256:../../etc")
    with pytest.raises(InvalidError):
        make(kind, tmp_path / "state").prepare(container_id(1), (layer,))
    assert not (tmp_path / "state").exists()


def test_an_id_with_other_layers(tmp_path: Path, kind: str) -> None:
    """A prepared id does not change its layers."""
    one, two = (layer_of(tmp_path / "blobs", archive(file(name))) for name in ("one", "two"))
    storage = make(kind, tmp_path / "state")
    storage.prepare(container_id(1), (one,))
    with pytest.raises(ConflictError):
        storage.prepare(container_id(1), (two,))


# -- privacy and overlay's own view -------------------------------------------------------------------------------


def test_nobody_else_can_reach_a_root(tmp_path: Path, kind: str) -> None:
    """The state directory is 0700 whatever the umask says (CVE-2021-41091)."""
    layer = layer_of(tmp_path / "blobs", archive(file("su", mode=0o4755)))
    umask = os.umask(0)
    try:
        make(kind, tmp_path / "state").prepare(container_id(1), (layer,))
    finally:
        os.umask(umask)
    assert (tmp_path / "state").stat().st_mode & 0o7777 == 0o700


def test_the_same_tree_under_any_umask(tmp_path: Path, kind: str) -> None:
    """The caller's umask changes nothing in the tree."""
    layer = layer_of(tmp_path / "blobs", archive(directory("d", mode=0o777), file("d/f", mode=0o666), file("i/f")))
    trees = []
    for umask in (0o000, 0o077):
        old = os.umask(umask)
        try:
            parts = make(kind, tmp_path / f"state{umask}").prepare(container_id(1), (layer,))
        finally:
            os.umask(old)
        trees.append(inside(parts, tmp_path / "root", listing))
    assert trees[0] == trees[1]
    assert trees[0]["d/f"]["mode"] == "0o100666"


def test_private_xattrs_of_overlay_mean_nothing(tmp_path: Path, kind: str) -> None:
    """A layer cannot redirect or hide directories by carrying overlayfs' own xattrs."""
    base = layer_of(tmp_path / "blobs", archive(directory("d"), file("d/f", b"seen"), directory("secret"), file("x")))
    private = {f"{space}.overlay.{name}": "y" for space in ("trusted", "user") for name in ("opaque", "metacopy")}
    private["trusted.overlay.redirect"] = "/secret"
    upper = layer_of(tmp_path / "blobs", archive(directory("d", xattrs={**private, "user.mine": "1"})))
    found = inside(make(kind, tmp_path / "state").prepare(container_id(1), (base, upper)), tmp_path / "root", listing)
    assert "d/f" in found
    assert found["d"]["xattrs"] == {"user.mine": "31"}


def test_devices_are_of_no_use(tmp_path: Path, kind: str) -> None:
    """A root file system is mounted nodev: what a layer smuggles in cannot be opened."""
    import tarfile

    from cmanager.testing.storage import member

    device = member("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    layer = layer_of(tmp_path / "blobs", archive(device))
    parts = make(kind, tmp_path / "state").prepare(container_id(1), (layer,))

    def look(root: str) -> int:
        try:
            os.close(os.open(f"{root}/null", os.O_RDONLY))
        except OSError as error:
            return error.errno or 0
        return 0

    assert inside(parts, tmp_path / "root", look) == errno.EACCES


# -- faults -------------------------------------------------------------------------------------------------------


def cut_in_two(tmp_path: Path) -> tuple[Layer, bytes, bytes, Path]:
    """A layer whose blob is a FIFO, and its two halves: whoever unpacks it stops in the middle."""
    content = archive(*(file(f"f{n:04}", os.urandom(4096)) for n in range(400)))
    blob = gzip.compress(content, 1, mtime=0)
    layer = layer_of(tmp_path / "blobs", content)
    Path(layer.path).unlink()
    os.mkfifo(layer.path)
    return layer, blob[: len(blob) // 2], blob[len(blob) // 2 :], Path(layer.path)


def wait_for(condition: Any) -> None:
    """Until `condition()` holds; at most ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within ten seconds"
        time.sleep(0.01)


def fork_prepare(storage: Storage, id: str, layers: tuple[Layer, ...]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            storage.prepare(id, layers)
            status = 0
        finally:
            os._exit(status)
    return child


@pytest.mark.parametrize("then", ["prepare", "collect"])
def test_killed_in_the_middle(tmp_path: Path, kind: str, then: str) -> None:
    """After a kill -9 in the middle of a layer a retry works, and collect leaves nothing of it."""
    state = tmp_path / "state"
    storage = make(kind, state)
    base = layer_of(tmp_path / "blobs", archive(file("base")))
    layer, first, second, fifo = cut_in_two(tmp_path)
    child = fork_prepare(storage, container_id(1), (base, layer))
    try:
        with fifo.open("wb", buffering=0) as pipe:
            pipe.write(first)
            wait_for(lambda: list(state.glob("staging/layer-*/fs/f0100")))
            assert storage.owned() == {container_id(1)}
            assert storage.collect(frozenset()) == 0, "a living prepare must not lose its layers"
            os.kill(child, signal.SIGKILL)
    finally:
        os.waitpid(child, 0)
    fifo.unlink()
    if then == "prepare":
        fifo.write_bytes(first + second)
        parts = storage.prepare(container_id(1), (base, layer))
        assert len(inside(parts, tmp_path / "root", os.listdir)) == 401
        storage.remove(container_id(1))
    assert storage.collect(frozenset()) > 0
    assert everything(state) == set()
    assert storage.owned() == frozenset()


def test_one_unpacks_while_others_wait(tmp_path: Path, kind: str) -> None:
    """Two prepares of one layer read its blob once: the second waits for the first."""
    storage = make(kind, tmp_path / "state")
    layer, first, second, fifo = cut_in_two(tmp_path)
    children = [fork_prepare(storage, container_id(n), (layer,)) for n in (1, 2)]
    try:
        # A second reader of the FIFO would take a part of what belongs to the first.
        with fifo.open("wb", buffering=0) as pipe:
            pipe.write(first)
            wait_for(lambda: len(storage.owned()) == 2)
            pipe.write(second)
    finally:
        results = [os.waitpid(child, 0)[1] for child in children]
    assert results == [0, 0]


def test_a_waiter_takes_over_from_the_dead(tmp_path: Path) -> None:
    """Who waits for a claim gets it when its owner dies, and finds nothing of what he left."""
    staging = Staging(str(tmp_path))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with staging.claim("x") as claim:
            Path(claim.path).mkdir()
            Path(claim.path, "half").write_text("half")
            os.write(writing, b"1")
            signal.pause()
        os._exit(1)
    assert os.read(reading, 1) == b"1"
    assert staging.alive("x")
    assert staging.sweep() == 0
    os.kill(child, signal.SIGKILL)
    with staging.claim("x") as claim:
        assert not Path(claim.path).exists()
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    assert os.listdir(tmp_path) == []


def on_small_disk(place: Path, options: str, action: Any, size: int = 8 << 20) -> Any:
    """Run `action(directory)` in a child where `place` is a small tmpfs."""
    place.mkdir()

    def mounted() -> Any:
        syscalls.mount("tmpfs", str(place), "tmpfs", 0, f"size={size},{options}")
        return action(place)

    return in_child(mounted)


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ("mode=700", archive(*(file(f"f{n}", b"x") for n in range(4000)))),
        ("mode=700", archive(file("large", os.urandom(9 << 20)))),
        ("mode=700,nr_inodes=200", archive(*(file(f"f{n}") for n in range(400)))),
    ],
    ids=["blocks", "one large file", "inodes"],
)
def test_a_full_disk(tmp_path: Path, kind: str, options: str, content: bytes) -> None:
    """A full disk is an error that names path and reason, nothing is left, and what fits still works after it."""
    layer = layer_of(tmp_path / "blobs", content)
    small = layer_of(tmp_path / "blobs", archive(file("small")))

    def fill(place: Path) -> Any:
        storage = make(kind, place / "state")
        storage.prepare(container_id(2), (small,))
        before = os.statvfs(place)
        try:
            storage.prepare(container_id(1), (layer,))
        except HostError as error:
            text = str(error)
        else:
            text = "no error"
        after = os.statvfs(place)
        left = [(before.f_bfree - after.f_bfree) * before.f_frsize, before.f_ffree - after.f_ffree]
        storage.prepare(container_id(3), (small,))
        return [text, left, sorted(storage.owned())]

    text, left, owned = on_small_disk(tmp_path / "disk", options, fill)
    assert "no space left on device" in text
    assert str(tmp_path / "disk") in text
    assert left == [0, 0]
    assert owned == [container_id(2), container_id(3)]


def test_remove_and_collect_on_a_full_disk(tmp_path: Path, kind: str) -> None:
    """When blocks and inodes are out, removing still works and gives them back."""
    layer = layer_of(tmp_path / "blobs", archive(*(file(f"f{n}", b"x") for n in range(50))))

    def fill(place: Path) -> Any:
        storage = make(kind, place / "state")
        storage.prepare(container_id(1), (layer,))
        number = 0
        try:
            while True:
                (place / f"fill{number}").write_bytes(bytes(4096))
                number += 1
        except OSError:
            free = os.statvfs(place).f_ffree
        storage.remove(container_id(1))
        collected = storage.collect(frozenset())
        return [free, collected > 0, sorted(everything(place / "state"))]

    assert on_small_disk(tmp_path / "disk", "nr_inodes=400", fill, 64 << 20) == [0, True, []]


def test_a_read_only_disk(tmp_path: Path, kind: str) -> None:
    """On a file system that went read-only every change is a HostError and looking still works."""
    layer = layer_of(tmp_path / "blobs", archive(file("f")))
    other = layer_of(tmp_path / "blobs", archive(file("g")))

    def freeze(place: Path) -> Any:
        storage = make(kind, place / "state")
        storage.prepare(container_id(1), (layer,))
        syscalls.mount("tmpfs", str(place), "tmpfs", syscalls.MS_REMOUNT | syscalls.MS_RDONLY)
        said = []
        for call in (
            lambda: storage.prepare(container_id(2), (other,)),
            lambda: storage.remove(container_id(1)),
            lambda: storage.collect(frozenset()),
        ):
            with pytest.raises(HostError, match="read-only file system") as caught:
                call()
            said.append(caught.value.errno)
        storage.prepare(container_id(1), (layer,))
        return [said, sorted(storage.owned()), storage.usage(container_id(1)) > 0]

    assert on_small_disk(tmp_path / "disk", "mode=700", freeze) == [[errno.EROFS] * 3, [container_id(1)], True]


def test_a_record_that_is_damaged(tmp_path: Path, kind: str) -> None:
    """A container whose record is damaged keeps every layer until it is removed, and can be removed."""
    layer = layer_of(tmp_path / "blobs", archive(file("f", os.urandom(4096))))
    storage = make(kind, tmp_path / "state")
    storage.prepare(container_id(1), (layer,))
    (tmp_path / "state/containers" / container_id(1) / "layers.json").write_bytes(b"")
    assert storage.collect(frozenset()) == 0
    with pytest.raises(CorruptError):
        storage.prepare(container_id(1), (layer,))
    storage.remove(container_id(1))
    assert storage.collect(frozenset()) > 0


def test_a_layer_that_was_removed_behind_our_back(tmp_path: Path) -> None:
    """Preparing again unpacks a layer that somebody deleted, and the container keeps its own files."""
    layer = layer_of(tmp_path / "blobs", archive(file("f", b"layer")))
    storage = make("overlay", tmp_path / "state")
    parts = storage.prepare(container_id(1), (layer,))
    inside(parts, tmp_path / "root", lambda root: Path(root, "mine").write_text("kept"))
    subprocess.run(["/bin/rm", "-rf", tmp_path / "state/layers"], check=True)
    (tmp_path / "state/layers").mkdir()
    assert storage.prepare(container_id(1), (layer,)) == parts
    assert sorted(inside(parts, tmp_path / "root", os.listdir)) == ["f", "mine"]


def test_chain_ids_are_those_of_the_specification(tmp_path: Path) -> None:
    """vfs names its trees by the ChainID of image-spec config.md."""
    one, two = (layer_of(tmp_path / "blobs", archive(file(name))) for name in ("one", "two"))
    make("vfs", tmp_path / "state").prepare(container_id(1), (one, two))
    chain = hashlib.sha256(f"{one.diff_id} {two.diff_id}".encode()).hexdigest()
    assert set(os.listdir(tmp_path / "state/layers")) == {one.diff_id[7:], chain}
    recorded = json.loads((tmp_path / "state/layers" / chain / "diff-ids.json").read_text())
    assert recorded == [one.diff_id, two.diff_id]


def test_collect_while_others_prepare(tmp_path: Path, kind: str) -> None:
    """A collect in a loop never takes a layer from a container that is being prepared."""
    layers = tuple(layer_of(tmp_path / "blobs", archive(file(f"f{n}", b"x"))) for n in range(3))
    storage = make(kind, tmp_path / "state")
    collector = os.fork()
    if collector == 0:
        try:
            while True:
                storage.collect(frozenset())
        finally:
            os._exit(1)
    try:
        for number in range(20):
            parts = storage.prepare(container_id(number), layers)
            assert len(inside(parts, tmp_path / "root", os.listdir)) == 3
            storage.remove(container_id(number))
    finally:
        os.kill(collector, signal.SIGKILL)
        os.waitpid(collector, 0)
    storage.collect(frozenset())
    assert everything(tmp_path / "state") == set()
