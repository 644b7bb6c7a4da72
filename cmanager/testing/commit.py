"""The conformance suite of the optional ability to tell what a container changed (`cmanager.seams.storage.Commit`).

    class TestMine(CommitSuite):
        provider = "mine"

`provider` is a storage provider, as for `cmanager.testing.storage`.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..errors import NotFoundError, UnsupportedError
from ..model.image import Layer
from ..seams import Commit
from .storage import archive, container_id, directory, file, hardlink, inside, layer_of, listing, symlink
from .suite import Suite

_NOTHING: frozenset[str] = frozenset()


def told(provider: Any, layers: tuple[Layer, ...], mountpoints: frozenset[str] = _NOTHING) -> list[str]:
    """The changes of container 1 as lines of `cmanager diff`."""
    return [f"{c.kind} {c.path}" for c in provider.changes(container_id(1), layers, None, mountpoints)]


def written(provider: Any, layers: tuple[Layer, ...], place: Path) -> bytes:
    """The layer of container 1."""
    path = place / "layer.tar"
    with path.open("wb") as out:
        provider.layer(container_id(1), layers, None, _NOTHING, out.fileno())
    return path.read_bytes()


@pytest.mark.root
class CommitSuite(Suite):
    """Every promise of `Commit`, checked."""

    seam = "storage"
    ability = Commit

    @pytest.fixture
    def layers(self, tmp_path: Path) -> tuple[Layer, ...]:
        """Two layers, the upper of which hides and only uses some of what the lower has."""
        base = archive(
            directory("./"),
            directory("etc"),
            file("etc/hosts", b"base", uid=3),
            file("etc/motd", b"base", uid=3),
            file("etc/gone", b"gone"),
            directory("opt"),
            directory("opt/a", uid=5),
            file("opt/a/one", b"1"),
            file("opt/a/two", b"2"),
            directory("opt/b"),
            file("opt/b/deep", b"3"),
            symlink("link", "etc"),
            hardlink("twin", "etc/hosts"),
        )
        upper = archive(file("etc/.wh.gone"), file("opt/a/three", b"3", mode=0o600))
        return (layer_of(tmp_path / "blobs", base), layer_of(tmp_path / "blobs", upper))

    @pytest.fixture
    def change(
        self, provider: Any, layers: tuple[Layer, ...], tmp_path: Path
    ) -> Callable[[Callable[[Path], Any]], list[str]]:
        """Prepares container 1, does something to its files, returns what the provider says of it."""

        def run(action: Callable[[Path], Any], mountpoints: frozenset[str] = _NOTHING) -> list[str]:
            parts = provider.prepare(container_id(1), layers)

            def act(root: str) -> None:
                action(Path(root))

            inside(parts, tmp_path / "root", act)
            return told(provider, layers, mountpoints)

        return run

    def test_is_able(self, provider: Any) -> None:
        """The provider has both methods."""
        assert isinstance(provider, Commit), "a method of cmanager.seams.storage.Commit is missing"

    def test_nothing_changed(self, change: Any) -> None:
        """A container that wrote nothing has no changes, also where layers only use their directories."""
        assert change(lambda root: None) == []

    def test_unknown(self, provider: Any, layers: tuple[Layer, ...]) -> None:
        """An id that was not prepared is a NotFoundError."""
        with pytest.raises(NotFoundError):
            provider.changes(container_id(9), layers, None, _NOTHING)

    def test_added_changed_deleted(self, change: Any) -> None:
        """Each kind of change, and the directories on the way to it."""

        def act(root: Path) -> None:
            (root / "new").mkdir()
            (root / "new/file").write_text("x")
            (root / "etc/motd").write_text("other")
            (root / "opt/a/one").unlink()

        assert change(act) == ["C /etc", "C /etc/motd", "A /new", "A /new/file", "C /opt", "C /opt/a", "D /opt/a/one"]

    def test_renamed(self, change: Any) -> None:
        """A renamed file was deleted here and added there."""
        assert change(lambda root: (root / "opt/a/one").rename(root / "opt/b/one")) == [
            "C /opt",
            "C /opt/a",
            "D /opt/a/one",
            "C /opt/b",
            "A /opt/b/one",
        ]

    def test_a_deleted_directory_is_one_deletion(self, change: Any) -> None:
        """What was below a deleted directory is not told one by one."""

        def act(root: Path) -> None:
            for name in ("one", "two", "three"):
                (root / "opt/a" / name).unlink()
            (root / "opt/a").rmdir()

        assert change(act) == ["C /opt", "D /opt/a"]

    def test_a_directory_made_anew_hides_the_old_one(self, change: Any) -> None:
        """A directory that was deleted and made again (opaque) has only its new files."""

        def act(root: Path) -> None:
            (root / "opt/b/deep").unlink()
            (root / "opt/b").rmdir()
            (root / "opt/b").mkdir()
            (root / "opt/b/new").write_text("n")

        assert change(act) == ["C /opt", "C /opt/b", "D /opt/b/deep", "A /opt/b/new"]

    def test_kinds_that_change(self, change: Any) -> None:
        """A file in the place of a directory and the reverse are changes."""

        def act(root: Path) -> None:
            (root / "opt/b/deep").unlink()
            (root / "opt/b").rmdir()
            (root / "opt/b").write_text("a file")
            (root / "link").unlink()
            (root / "link").mkdir()
            (root / "link/in").write_text("x")

        assert change(act) == ["C /link", "A /link/in", "C /opt", "C /opt/b"]

    def test_modes_and_owners(self, change: Any) -> None:
        """A directory whose mode or owner alone changed is told."""
        assert change(lambda root: os.chmod(root / "opt/a", 0o700)) == ["C /opt", "C /opt/a"]

    def test_depth(self, provider: Any, layers: tuple[Layer, ...], change: Any) -> None:
        """Deep trees are told, those that no layer may hold are refused."""
        assert len(change(lambda root: (root / "/".join("d" * 250)).mkdir(parents=True))) == 250
        with pytest.raises(UnsupportedError, match="256 directories deep"):
            change(lambda root: (root / "/".join("e" * 300)).mkdir(parents=True))

    def test_mount_points_are_no_changes(self, change: Any) -> None:
        """Empty files and directories that a start makes to mount on are not the container's doing."""

        def act(root: Path) -> None:
            (root / "etc/resolv.conf").touch()
            (root / "srv/www/data").mkdir(parents=True)
            (root / "dev").mkdir()

        points = frozenset({"/etc/resolv.conf", "/srv/www/data", "/dev", "/proc"})
        assert change(act, points) == []

    def test_mount_points_with_content_are(self, change: Any) -> None:
        """What lies beside or in a mount point is told, with the directories on the way."""

        def act(root: Path) -> None:
            (root / "srv/www").mkdir(parents=True)
            (root / "srv/mine").write_text("x")
            (root / "dev").mkdir()
            (root / "dev/node").write_text("x")

        assert change(act, frozenset({"/srv/www", "/dev"})) == ["A /dev", "A /dev/node", "A /srv", "A /srv/mine"]

    def test_the_layer_shows_the_same_tree(
        self, provider: Any, layers: tuple[Layer, ...], change: Any, tmp_path: Path
    ) -> None:
        """A container on top of the layer sees what the one it was made from saw."""

        def act(root: Path) -> None:
            (root / "opt/b/deep").unlink()
            (root / "opt/b").rmdir()
            (root / "opt/b").mkdir()
            (root / "opt/b/new").write_text("n")
            (root / "opt/a/one").unlink()
            (root / "new").mkdir(mode=0o711)
            (root / "new/file").write_text("x")
            os.chmod(root / "new/file", 0o4755)
            os.chown(root / "new/file", 7, 8)
            os.link(root / "new/file", root / "new/twin")
            os.symlink("/etc/../x", root / "new/link")
            os.setxattr(root / "new/file", "user.k", b"v")
            os.utime(root / "new/file", ns=(1, 1_600_000_000_123_456_789))
            os.mkfifo(root / "new/pipe")
            (root / ("n" * 120)).write_text("a long name")
            os.chmod(root / "etc", 0o750)
            (root / "link").unlink()
            (root / "link").write_text("a file now")

        change(act)
        parts = provider.prepare(container_id(1), layers)
        expected = inside(parts, tmp_path / "root", listing)
        layer = layer_of(tmp_path / "blobs", written(provider, layers, tmp_path))
        again = inside(provider.prepare(container_id(2), (*layers, layer)), tmp_path / "root", listing)
        untold = [path for path in expected if stat.S_ISDIR(int(expected[path]["mode"], 8))]
        for tree in (expected, again):
            for path in untold:
                del tree[path]["mtime"]  # of directories in which nothing but a child changed
        assert again == expected

    def test_equal_changes_give_equal_bytes(
        self, provider: Any, layers: tuple[Layer, ...], change: Any, tmp_path: Path
    ) -> None:
        """The layer of a container that changed nothing meanwhile is the same, and in order."""
        change(lambda root: [(root / name).write_text(name) for name in ("z", "a", "m")])
        first = written(provider, layers, tmp_path)
        assert written(provider, layers, tmp_path) == first
        with tarfile.open(tmp_path / "layer.tar") as tar:
            assert tar.getnames() == ["a", "m", "z"]

    def test_holes_stay_holes(self, provider: Any, layers: tuple[Layer, ...], change: Any, tmp_path: Path) -> None:
        """A sparse file costs a layer what its data cost."""

        def act(root: Path) -> None:
            with open(root / "sparse", "wb") as out:
                out.seek(300 << 20)
                out.write(b"end")

        change(act)
        tar = written(provider, layers, tmp_path)
        assert len(tar) < 1 << 20
        layer = layer_of(tmp_path / "blobs", tar)
        parts = provider.prepare(container_id(2), (*layers, layer))

        def look(root: str) -> list[Any]:
            with open(f"{root}/sparse", "rb") as found:
                found.seek(300 << 20)
                return [os.fstat(found.fileno()).st_size, found.read().decode()]

        assert inside(parts, tmp_path / "root", look) == [(300 << 20) + 3, "end"]

    @pytest.mark.parametrize("name", [".wh.x", ".wh..wh..opq"])
    def test_names_that_mean_deletions(
        self, provider: Any, layers: tuple[Layer, ...], change: Any, tmp_path: Path, name: str
    ) -> None:
        """A file whose name a layer would read as a deletion is refused, never written."""
        assert change(lambda root: (root / name).write_text("x")) == [f"A /{name}"]
        with pytest.raises(UnsupportedError, match=r"\.wh\."):
            written(provider, layers, tmp_path)

    def test_owners_are_those_inside(self, provider: Any, layers: tuple[Layer, ...], tmp_path: Path) -> None:
        """Owners that were shifted for a user namespace are shifted back."""
        parts = provider.prepare(container_id(1), layers)

        def act(root: str) -> None:
            Path(root, "mine").write_text("x")
            os.chown(f"{root}/mine", 100_007, 100_008)

        inside(parts, tmp_path / "root", act)
        path = tmp_path / "layer.tar"
        with path.open("wb") as out:
            provider.layer(container_id(1), layers, (100_000, 65_536), _NOTHING, out.fileno())
        with tarfile.open(path) as tar:
            assert [(m.name, m.uid, m.gid) for m in tar] == [("mine", 7, 8)]
