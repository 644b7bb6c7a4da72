"""The conformance suite of the optional `cmanager.seams.Volumes` of a storage provider.

    class TestMine(VolumesSuite):
        provider = "mine"

`provider` is a storage provider, as for `cmanager.testing.storage`.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from ..errors import ConflictError, InvalidError, NotFoundError
from ..seams import Volumes
from .images import together
from .suite import Suite, steady


@pytest.mark.root
class VolumesSuite(Suite):
    """Every promise of `cmanager.seams.Volumes`, checked."""

    seam = "storage"
    ability = Volumes

    def test_keeps_volumes(self, provider: Any) -> None:
        """The provider has every method, and none before it was told to keep anything."""
        assert isinstance(provider, Volumes), "a method of cmanager.seams.Volumes is missing"
        assert provider.volumes() == (), "a new provider has no volumes"

    def test_a_new_volume_is_empty(self, provider: Volumes, place: Path) -> None:
        """Its mountpoint is an empty directory, 0755 and root's; nobody but root gets at it from outside."""
        made = provider.create_volume("data", {})
        info = os.stat(made.mountpoint)
        assert os.listdir(made.mountpoint) == [], "a new volume must be empty"
        assert os.listdir(made.staging) == [], "so must its staging directory"
        assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o755, 0, 0)
        above = [path for path in Path(made.mountpoint).parents if path.is_relative_to(place)]
        closed = [path for path in above if not path.stat().st_mode & 0o077]
        assert closed, "some directory above the mountpoint must be root's alone: volumes may hold setuid programs"

    def test_staging_is_beside_it(self, provider: Volumes) -> None:
        """The core can prepare files in the staging directory and move them in without a copy."""
        made = provider.create_volume("data", {})
        Path(made.staging, "new").write_text("moved")
        Path(made.staging, "new").rename(f"{made.mountpoint}/new")  # EXDEV on another file system
        assert not Path(made.mountpoint, made.staging).is_relative_to(made.mountpoint), "containers must not see it"

    def test_what_is_known_of_it(self, provider: Volumes) -> None:
        """Name, labels, time and anonymity are what was given, however it is looked up."""
        before = time.time()
        made = provider.create_volume("data", {"tier": "web", "empty": ""}, anonymous=True)
        assert (made.name, made.labels, made.anonymous) == ("data", {"tier": "web", "empty": ""}, True)
        assert before - 1 <= made.created_at <= time.time() + 1
        assert provider.volume("data") == made
        assert provider.volumes() == (made,)
        assert not provider.create_volume("other", {}).anonymous

    def test_they_are_listed_by_name(self, provider: Volumes) -> None:
        """Every volume once, sorted."""
        for name in ("b", "a.1", "C_x", "0"):
            provider.create_volume(name, {})
        assert [volume.name for volume in provider.volumes()] == sorted(("b", "a.1", "C_x", "0"))

    def test_a_name_belongs_to_one(self, provider: Volumes) -> None:
        """A second volume of a name is refused, and the first keeps its files."""
        made = provider.create_volume("data", {})
        Path(made.mountpoint, "file").write_text("kept")
        with pytest.raises(ConflictError):
            provider.create_volume("data", {"other": "labels"})
        assert Path(provider.volume("data").mountpoint, "file").read_text() == "kept"
        assert provider.volume("data").labels == {}

    def test_made_eight_times_at_once(self, provider: Volumes) -> None:
        """Of processes that make one name at the same time, exactly one does."""
        assert together(8, lambda number: provider.create_volume("data", {"by": str(number)})).count(True) == 1
        assert len(provider.volumes()) == 1

    def test_nothing_is_held_for_volumes_that_are_gone(self, provider: Volumes) -> None:
        """Neither descriptors nor threads nor processes grow with the number of volumes."""

        def live(number: int) -> None:
            provider.create_volume("data", {})
            provider.volume_usage("data")
            provider.remove_volume("data")

        steady(live)

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hid", "-x", "a b", "a\n", "a\x1b", "x" * 129])
    def test_no_name_leads_out(self, provider: Volumes, name: str) -> None:
        """What is no name is refused everywhere, before anything is made or removed."""
        provider.create_volume("data", {})
        calls = (
            lambda: provider.create_volume(name, {}),
            lambda: provider.volume(name),
            lambda: provider.remove_volume(name),
            lambda: provider.volume_usage(name),
        )
        for call in calls:
            with pytest.raises(InvalidError):
                call()
        assert [volume.name for volume in provider.volumes()] == ["data"]

    def test_remove_is_idempotent(self, provider: Volumes) -> None:
        """Removing what is gone, or never was, is success; a removed name begins anew."""
        provider.remove_volume("data")
        made = provider.create_volume("data", {"old": ""})
        Path(made.mountpoint, "deep/er").mkdir(parents=True)
        Path(made.mountpoint, "deep/er/file").write_text("old")
        provider.remove_volume("data")
        provider.remove_volume("data")
        assert provider.volumes() == ()
        assert not os.path.lexists(made.mountpoint), "the files must go with the volume"
        with pytest.raises(NotFoundError):
            provider.volume("data")
        again = provider.create_volume("data", {})
        assert (os.listdir(again.mountpoint), again.labels) == ([], {})

    def test_remove_follows_no_link(self, provider: Volumes, tmp_path: Path) -> None:
        """A link that a container left in a volume costs nobody a file."""
        victim = tmp_path / "victim"
        victim.mkdir()
        (victim / "file").write_text("untouched")
        made = provider.create_volume("data", {})
        Path(made.mountpoint, "link").symlink_to(victim)
        provider.remove_volume("data")
        assert (victim / "file").read_text() == "untouched"

    def test_usage(self, provider: Volumes) -> None:
        """usage grows by what is written, and is 0 for a volume that does not exist."""
        assert provider.volume_usage("data") == 0, "a volume that does not exist takes nothing"
        made = provider.create_volume("data", {})
        before = provider.volume_usage("data")
        Path(made.mountpoint, "big").write_bytes(os.urandom(1 << 20))
        assert provider.volume_usage("data") - before >= 1 << 20, "1 MiB was written"

    def test_garbage_collection_leaves_volumes_alone(self, provider: Any) -> None:
        """`Storage.collect` and `Storage.owned` know nothing of volumes."""
        made = provider.create_volume("data", {})
        Path(made.mountpoint, "file").write_text("kept")
        assert provider.owned() == frozenset()
        provider.collect(frozenset())
        assert provider.volume("data") == made
        assert Path(made.mountpoint, "file").read_text() == "kept"
