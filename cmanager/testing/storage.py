"""The conformance suite of the storage seam, and what it needs: layers made to order, and a look inside a mounted root.

    class TestMine(StorageSuite):
        provider = "mine"

Everything runs as root; mounts are made in child processes with a mount namespace of their own, so the host sees none.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import stat
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..errors import CmanagerError, CorruptError
from ..linux import mounts
from ..linux.mounts import Mount
from ..model.image import Layer
from ..seams import Storage
from .suite import Suite, steady

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
TIME = 1_700_000_000
Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, kind: bytes, content: bytes = b"", **fields: Any) -> Member:
    """An archive member; `fields` are those of tarfile.TarInfo, `xattrs` a dict of names and text."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    info.mtime = TIME
    xattrs = fields.pop("xattrs", {})
    info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in xattrs.items()}
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def file(name: str, content: bytes = b"", **fields: Any) -> Member:
    """A regular file; one whose name begins with `.wh.` is a whiteout."""
    return member(name, tarfile.REGTYPE, content, **{"mode": 0o644, **fields})


def directory(name: str, **fields: Any) -> Member:
    """A directory."""
    return member(name, tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def symlink(name: str, target: str, **fields: Any) -> Member:
    """A symbolic link."""
    return member(name, tarfile.SYMTYPE, linkname=target, **fields)


def hardlink(name: str, target: str) -> Member:
    """Another name for a file of the same layer."""
    return member(name, tarfile.LNKTYPE, linkname=target)


def archive(*members: Member) -> bytes:
    """An uncompressed pax archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def layer_of(place: Path, content: bytes, *, diff_id: str = "", compressed: bytes | None = None) -> Layer:
    """A stored layer whose uncompressed tar is `content`; `diff_id` and `compressed` to tell lies about it."""
    blob = gzip.compress(content, 1, mtime=0) if compressed is None else compressed
    digest = hashlib.sha256(blob).hexdigest()
    place.mkdir(exist_ok=True)
    path = place / digest
    path.write_bytes(blob)
    return Layer(
        digest=f"sha256:{digest}",
        diff_id=diff_id or f"sha256:{hashlib.sha256(content).hexdigest()}",
        media_type=GZIP,
        size=len(blob),
        path=str(path),
    )


def in_child(action: Callable[[], Any]) -> Any:
    """What `action` returns, through JSON, from a forked process in a private mount namespace; its errors fail here."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            mounts.make_private_namespace()
            try:
                answer = {"value": action()}
            except BaseException as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            with os.fdopen(writing, "w") as pipe:
                json.dump(answer, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(text) if text else {"error": "the child process died"}
    assert "error" not in answer, answer["error"]
    return answer["value"]


def inside(parts: tuple[Mount, ...], place: Path, look: Callable[[str], Any]) -> Any:
    """Mount a prepared root on the new directory `place` in a child process, and return what `look(place)` says."""
    place.mkdir(exist_ok=True)

    def action() -> Any:
        mounts.make_rootfs(parts, str(place))
        return look(str(place))

    return in_child(action)


def listing(root: str) -> dict[str, dict[str, Any]]:
    """Everything that a tree shows: by path its kind, mode, owner, mtime, content, xattrs and names of one inode."""
    found: dict[str, dict[str, Any]] = {}
    first: dict[int, str] = {}
    for above, directories, names in os.walk(root):
        for name in sorted((*directories, *names)) if above != root else sorted(("", *directories, *names)):
            path = os.path.join(above, name).rstrip("/")
            info = os.lstat(path)
            shown = os.path.relpath(path, root)
            row: dict[str, Any] = {
                "mode": oct(info.st_mode),
                "owner": [info.st_uid, info.st_gid],
                "mtime": info.st_mtime_ns,
                "xattrs": {key: os.getxattr(path, key).hex() for key in os.listxattr(path, follow_symlinks=False)}
                if not stat.S_ISLNK(info.st_mode)
                else {},
            }
            if stat.S_ISREG(info.st_mode):
                row["content"] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                row["same"] = first.setdefault(info.st_ino, shown)
            elif stat.S_ISLNK(info.st_mode):
                row["target"] = os.readlink(path)
            elif not stat.S_ISDIR(info.st_mode):
                row["device"] = info.st_rdev
            found[shown] = row
    return found


def container_id(number: int) -> str:
    """A container id for a test."""
    return f"{number:064x}"


def read(path: str) -> Callable[[str], str]:
    """For `inside`: the text of one file."""
    return lambda root: Path(root, path).read_text()


@pytest.mark.root
class StorageSuite(Suite):
    """Every promise of `cmanager.seams.Storage`, checked."""

    seam = "storage"
    ability = Storage

    @pytest.fixture
    def base(self, tmp_path: Path) -> Layer:
        """A base layer with a little of everything."""
        return layer_of(
            tmp_path / "blobs",
            archive(
                directory("./"),
                directory("etc", mode=0o750, uid=7, gid=8),
                file("etc/hosts", b"base", mode=0o4711, uid=3, gid=4, mtime=1_600_000_000.5),
                file("etc/gone", b"gone"),
                directory("cache"),
                file("cache/old", b"old"),
                symlink("link", "etc/hosts"),
                hardlink("twin", "etc/hosts"),
            ),
        )

    @pytest.fixture
    def upper(self, tmp_path: Path) -> Layer:
        """A layer that changes, hides and empties what `base` has."""
        return layer_of(
            tmp_path / "blobs",
            archive(
                directory("etc", mode=0o755),
                file("etc/.wh.gone"),
                file("etc/motd", b"upper"),
                directory("cache"),
                file("cache/.wh..wh..opq"),
                file("cache/new", b"new"),
                file("link", b"a file now"),
            ),
        )

    def test_is_a_storage(self, provider: Storage) -> None:
        """The provider has every method of the seam."""
        assert isinstance(provider, Storage), "a method of cmanager.seams.Storage is missing"

    def test_the_root_comes_first(self, provider: Storage, base: Layer) -> None:
        """The first mount that prepare returns is the root itself."""
        parts = provider.prepare(container_id(1), (base,))
        assert parts[0].target == "/", "the first mount must have target '/'"

    def test_one_directory_holds_all_paths(self, provider: Storage, base: Layer, upper: Layer) -> None:
        """All paths in one mount lie under one directory, so that it can be mounted id-mapped."""
        for part in provider.prepare(container_id(1), (base, upper)):
            values = (option.partition("=")[2] for option in part.options)
            paths = [path for path in (part.source, *values) if path.startswith("/")]
            assert len(os.path.commonpath(paths)) > 1, f"{paths} have only / in common"

    def test_all_paths_are_the_providers_own(
        self, provider: Storage, base: Layer, upper: Layer, place: Path, tmp_path: Path
    ) -> None:
        """No mount leads to what is not the provider's, nor onto a place outside of the root."""
        for part in provider.prepare(container_id(1), (base, upper)):
            assert part.target == os.path.normpath(part.target), f"{part.target} is no absolute path without .."
            values = (option.partition("=")[2] for option in part.options)
            paths = [path for value in (part.source, *values) for path in value.split(":") if path.startswith("/")]
            assert paths, f"the mount on {part.target} comes from nowhere"
            strange = [path for path in paths if not os.path.realpath(path).startswith(f"{os.path.realpath(place)}/")]
            assert strange == [], f"a container must be given nothing that is not below {place}"

    def test_shows_what_the_layer_holds(self, provider: Storage, base: Layer, tmp_path: Path) -> None:
        """Names, content, owners, modes, times and links are those of the archive."""
        parts = provider.prepare(container_id(1), (base,))
        found = inside(parts, tmp_path / "root", listing)
        assert sorted(found) == [".", "cache", "cache/old", "etc", "etc/gone", "etc/hosts", "link", "twin"]
        hosts = found["etc/hosts"]
        assert hosts["mode"] == oct(stat.S_IFREG | 0o4711), "the mode, setuid included, must be the archive's"
        assert hosts["owner"] == [3, 4], "owners must be the archive's"
        assert hosts["mtime"] == 1_600_000_000_500_000_000, "times must be the archive's, to the nanosecond"
        assert found["twin"]["same"] == hosts["same"], "a hard link must be the same file"
        assert found["link"]["target"] == "etc/hosts", "a symbolic link must lead where the archive says"
        assert found["etc"]["owner"] == [7, 8], "a directory's owner must be the archive's"

    def test_upper_layers_win(self, provider: Storage, base: Layer, upper: Layer, tmp_path: Path) -> None:
        """An upper layer replaces, hides (whiteout) and empties (opaque directory) what lower ones have."""
        parts = provider.prepare(container_id(1), (base, upper))
        found = inside(parts, tmp_path / "root", listing)
        assert "etc/gone" not in found, "a whiteout must hide the file of the layer below"
        assert "cache/old" not in found, "an opaque directory must hide what the layers below have in it"
        assert "cache/new" in found, "an opaque marker must not hide files of its own layer"
        assert "content" in found["link"], "a file must replace the link below it"
        assert found["etc"]["owner"] == [0, 0], "a directory looks as the topmost layer says"
        assert "etc/hosts" in found, "directories of several layers must be merged"
        assert not [path for path in found if ".wh." in path], "whiteout files must not be visible"

    def test_prepare_again(self, provider: Storage, base: Layer, tmp_path: Path) -> None:
        """Preparing an id twice returns the same mounts and touches no data."""
        parts = provider.prepare(container_id(1), (base,))
        inside(parts, tmp_path / "root", lambda root: Path(root, "mine").write_text("kept"))
        assert provider.prepare(container_id(1), (base,)) == parts, "the same id must give the same mounts"
        assert inside(parts, tmp_path / "root", read("mine")) == "kept", "what the container wrote is lost"

    def test_containers_are_separate(self, provider: Storage, base: Layer, tmp_path: Path) -> None:
        """What one container writes or deletes is not seen by another, before or after."""

        def write(root: str) -> None:
            Path(root, "etc/hosts").write_text("changed")
            Path(root, "etc/gone").unlink()
            Path(root, "cache").chmod(0o700)

        first = provider.prepare(container_id(1), (base,))
        before = provider.prepare(container_id(2), (base,))
        inside(first, tmp_path / "root", write)
        after = provider.prepare(container_id(3), (base,))
        shown = [inside(parts, tmp_path / "root", listing) for parts in (before, after)]
        assert all(found["etc/hosts"]["content"] == hashlib.sha256(b"base").hexdigest() for found in shown)
        assert all("etc/gone" in found and found["cache"]["mode"] == oct(stat.S_IFDIR | 0o755) for found in shown)

    def test_the_host_sees_no_mount(self, provider: Storage, base: Layer) -> None:
        """Preparing and removing leave the host's mount table alone."""
        before = Path("/proc/self/mountinfo").read_text()
        provider.prepare(container_id(1), (base,))
        assert Path("/proc/self/mountinfo").read_text() == before, "prepare must describe mounts, not make them"
        provider.remove(container_id(1))
        assert Path("/proc/self/mountinfo").read_text() == before, "remove must leave the host's mounts alone"

    def test_owned(self, provider: Storage, base: Layer) -> None:
        """owned lists what is prepared, and only that."""
        assert provider.owned() == frozenset(), "a new provider owns nothing"
        provider.prepare(container_id(1), (base,))
        provider.prepare(container_id(2), (base,))
        assert provider.owned() == {container_id(1), container_id(2)}
        provider.remove(container_id(1))
        assert provider.owned() == {container_id(2)}, "what is removed must not be listed"

    def test_remove_is_idempotent(self, provider: Storage, base: Layer, tmp_path: Path) -> None:
        """Removing what is gone, or never was, is success; a removed id begins anew."""
        provider.remove(container_id(1))
        parts = provider.prepare(container_id(1), (base,))
        inside(parts, tmp_path / "root", lambda root: Path(root, "mine").write_text("old"))
        provider.remove(container_id(1))
        provider.remove(container_id(1))
        parts = provider.prepare(container_id(1), (base,))
        found = inside(parts, tmp_path / "root", listing)
        assert "mine" not in found, "files of a removed container must not come back"

    def test_usage(self, provider: Storage, base: Layer, tmp_path: Path) -> None:
        """usage grows by what a container writes, and is 0 for one that does not exist."""
        assert provider.usage(container_id(9)) == 0, "an unknown container holds nothing"
        parts = provider.prepare(container_id(1), (base,))
        before = provider.usage(container_id(1))
        inside(parts, tmp_path / "root", lambda root: Path(root, "big").write_bytes(os.urandom(1 << 20)) and None)
        assert provider.usage(container_id(1)) - before >= 1 << 20, "1 MiB was written"

    def test_a_layer_is_unpacked_once(self, provider: Storage, base: Layer, tmp_path: Path) -> None:
        """A layer that was unpacked is not read again, so its blob may go."""
        provider.prepare(container_id(1), (base,))
        Path(base.path).unlink()
        parts = provider.prepare(container_id(2), (base,))
        shown = inside(parts, tmp_path / "root", read("etc/gone"))
        assert shown == "gone", "a layer that was unpacked must be there for others"

    def test_parallel(self, provider: Storage, base: Layer, upper: Layer, tmp_path: Path) -> None:
        """Eight processes that prepare the same layers at once all succeed and see the same."""
        children = []
        for number in range(8):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    provider.prepare(container_id(number), (base, upper))
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8, "a parallel prepare failed"
        assert len(provider.owned()) == 8, "owned must tell of what other processes prepared"
        prepared = [provider.prepare(container_id(number), (base, upper)) for number in (0, 7)]
        one, other = (inside(parts, tmp_path / "root", listing) for parts in prepared)
        assert one == other

    def test_collect_keeps_what_is_needed(self, provider: Storage, base: Layer, upper: Layer, tmp_path: Path) -> None:
        """Layers of a prepared container and layers that are asked for survive a collect."""
        parts = provider.prepare(container_id(1), (base,))
        provider.prepare(container_id(2), (base, upper))
        provider.remove(container_id(2))
        provider.collect(frozenset((base.diff_id, upper.diff_id)))
        Path(upper.path).unlink()
        again = provider.prepare(container_id(3), (base, upper))
        assert inside(again, tmp_path / "root", read("etc/motd")) == "upper", "a wanted layer was removed"
        provider.remove(container_id(3))
        provider.collect(frozenset())
        assert inside(parts, tmp_path / "root", read("etc/gone")) == "gone", "a container lost its layer"

    def test_collect_frees(self, provider: Storage, base: Layer, tmp_path: Path) -> None:
        """Layers that nobody needs are removed, their size is returned, and they can come back."""
        large = layer_of(tmp_path / "blobs", archive(file("large", os.urandom(1 << 20))))
        provider.prepare(container_id(1), (base, large))
        provider.remove(container_id(1))
        assert provider.collect(frozenset((base.diff_id,))) >= 1 << 20, (
            "the large layer was not removed, or not counted"
        )
        assert provider.collect(frozenset((base.diff_id,))) == 0, "there was nothing left to remove"
        parts = provider.prepare(container_id(2), (base, large))
        assert inside(parts, tmp_path / "root", lambda root: Path(root, "large").stat().st_size) == 1 << 20

    def test_the_same_layer_twice(self, provider: Storage, base: Layer, upper: Layer, tmp_path: Path) -> None:
        """An image may hold one layer in several places."""
        parts = provider.prepare(container_id(1), (upper, base, upper, upper))
        found = inside(parts, tmp_path / "root", listing)
        assert "etc/gone" not in found, "the upper of two equal layers still has its whiteouts"
        assert "etc/hosts" in found

    def test_many_layers(self, provider: Storage, tmp_path: Path) -> None:
        """128 layers, one more than docker takes, make one root."""
        layers = tuple(layer_of(tmp_path / "blobs", archive(file(f"f{n}", b"%d" % n))) for n in range(128))
        parts = provider.prepare(container_id(1), layers)
        assert len(inside(parts, tmp_path / "root", os.listdir)) == 128

    @pytest.mark.parametrize("lie", ["diff id", "cut", "flipped", "no archive", "empty"])
    def test_a_lying_blob_is_refused(self, provider: Storage, base: Layer, tmp_path: Path, lie: str) -> None:
        """A layer that is not what it promises raises CorruptError and leaves nothing."""
        content = archive(file("a", os.urandom(4096)))
        blob = gzip.compress(content)
        diff_id = f"sha256:{hashlib.sha256(content).hexdigest()}"
        stored = {
            "diff id": gzip.compress(archive(file("b"))),
            "cut": blob[:-20],
            "flipped": blob[:1000] + bytes([blob[1000] ^ 1]) + blob[1001:],
            "no archive": gzip.compress(os.urandom(4096)),
            "empty": b"",
        }[lie]
        bad = layer_of(tmp_path / "blobs", content, diff_id=diff_id, compressed=stored)
        with pytest.raises(CorruptError):
            provider.prepare(container_id(1), (base, bad))
        assert provider.owned() == frozenset(), "a failed prepare must leave nothing of the container"
        good = layer_of(tmp_path / "blobs", content)
        parts = provider.prepare(container_id(1), (base, good))
        shown = inside(parts, tmp_path / "root", lambda root: Path(root, "a").stat().st_size)
        assert shown == 4096, "after a failure the same id, and the honest layer, must work"

    def test_a_death_leaves_no_half_layer(self, provider: Storage, tmp_path: Path) -> None:
        """Whenever a process dies while it unpacks, the next one has the whole layer; collect takes what it left."""
        names = [f"d/{number:04}" for number in range(600)]
        layer = layer_of(tmp_path / "blobs", archive(directory("d"), *(file(name, name.encode()) for name in names)))
        for milliseconds in (3, 15, 50):
            child = os.fork()
            if child == 0:
                try:
                    provider.prepare(container_id(1), (layer,))
                finally:
                    os._exit(0)
            time.sleep(milliseconds / 1000)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            provider.remove(container_id(1))
            parts = provider.prepare(container_id(2), (layer,))
            shown = inside(parts, tmp_path / "root", lambda root: sorted(os.listdir(f"{root}/d")))
            assert shown == [name[2:] for name in names], "half of a layer was taken for all of it"
            provider.remove(container_id(2))
            provider.collect(frozenset())
        assert provider.owned() == frozenset()

    def test_nothing_is_held_for_containers_that_are_gone(self, provider: Storage, base: Layer, upper: Layer) -> None:
        """Neither descriptors nor threads nor processes grow with the number of containers."""

        def live(number: int) -> None:
            provider.prepare(container_id(number), (base, upper))
            provider.usage(container_id(number))
            provider.remove(container_id(number))
            provider.collect(frozenset())

        steady(live)

    def test_a_missing_blob(self, provider: Storage, base: Layer) -> None:
        """A blob that is not there is an error of cmanager.errors, and nothing is left."""
        Path(base.path).unlink()
        with pytest.raises(CmanagerError):
            provider.prepare(container_id(1), (base,))
        assert provider.owned() == frozenset(), "a failed prepare must leave nothing of the container"

    @pytest.mark.parametrize(
        "members",
        [
            [file("../victim", b"x")],
            [file("/../../victim", b"x")],
            [symlink("out", ".."), file("out/victim", b"x")],
            [symlink("out", "{place}"), file("out/victim", b"x")],
            [symlink("victim", "{place}/victim"), file("victim", b"x")],
            [hardlink("mine", "{place}/victim"), file("mine", b"x")],
            [hardlink("mine", "../victim")],
            [symlink("out", "{place}"), file("out/.wh.victim")],
            [symlink("out", "{place}"), file("out/.wh..wh..opq")],
            [file(".wh...")],
            [symlink(".", "{place}")],
        ],
    )
    def test_nothing_reaches_out(self, provider: Storage, tmp_path: Path, members: list[Member]) -> None:
        """No entry changes, links or removes a file outside of its layer."""
        place = tmp_path / "outside"
        place.mkdir()
        victim = place / "victim"
        victim.write_bytes(b"untouched")
        victim.chmod(0o640)
        for info, _ in members:
            info.linkname = info.linkname.format(place=place)
        before = (victim.stat(), place.stat(), sorted(os.listdir(tmp_path)))
        hostile = layer_of(tmp_path / "blobs", archive(*members))
        try:
            provider.prepare(container_id(1), (hostile,))
        except CorruptError:
            assert provider.owned() == frozenset()
        assert victim.read_bytes() == b"untouched", "a file outside was written"
        after = (victim.stat(), place.stat())
        for old, new in zip(before[:2], after, strict=True):
            assert (old.st_mode, old.st_nlink, old.st_uid, old.st_mtime_ns) == (
                new.st_mode,
                new.st_nlink,
                new.st_uid,
                new.st_mtime_ns,
            ), "a file outside was linked or changed"
