"""The conformance suites of the optional `cmanager.seams.AttachVolumes` and `DriveVolumes` of a storage provider.

    class TestMine(AttachVolumesSuite):
        provider = "mine"

Where the provider has a driver, that one has no volumes at first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ..errors import ConflictError, InvalidError, NotFoundError
from ..seams import AttachVolumes, DriveVolumes, Volumes
from .suite import Suite

ONE, TWO = "1" * 64, "2" * 64


@pytest.mark.root
class AttachVolumesSuite(Suite):
    """Every promise of `cmanager.seams.AttachVolumes`, checked."""

    seam = "storage"
    ability = AttachVolumes

    def test_attaches_volumes(self, provider: Any) -> None:
        """The provider has every method, and nothing attached before it was told to."""
        assert isinstance(provider, Volumes), "a method of cmanager.seams.Volumes is missing"
        assert isinstance(provider, AttachVolumes), "a method of cmanager.seams.AttachVolumes is missing"
        assert provider.attached() == ()

    def test_a_volume_has_a_path_while_it_is_attached(self, provider: Any) -> None:
        """attach_volume returns an existing directory, which `volume` shows until detach_volume."""
        assert provider.create_volume("data", {}).mountpoint == ""
        path = provider.attach_volume("data", ONE)
        assert os.path.isabs(path)
        assert os.path.isdir(path)
        assert provider.volume("data").mountpoint == path
        assert provider.attached() == (("data", ONE),)
        provider.detach_volume("data", ONE)
        assert provider.volume("data").mountpoint == ""
        assert provider.attached() == ()

    def test_files_outlive_an_attachment(self, provider: Any) -> None:
        """What was written is there the next time."""
        provider.create_volume("data", {})
        Path(provider.attach_volume("data", ONE), "file").write_text("kept")
        provider.detach_volume("data", ONE)
        assert Path(provider.attach_volume("data", TWO), "file").read_text() == "kept"
        provider.detach_volume("data", TWO)

    def test_containers_share_a_volume(self, provider: Any) -> None:
        """Detaching for one container takes nothing from another."""
        provider.create_volume("data", {})
        path = provider.attach_volume("data", ONE)
        Path(path, "file").write_text("shared")
        assert Path(provider.attach_volume("data", TWO), "file").read_text() == "shared"
        assert sorted(provider.attached()) == [("data", ONE), ("data", TWO)]
        provider.detach_volume("data", ONE)
        assert Path(provider.volume("data").mountpoint, "file").read_text() == "shared"
        provider.detach_volume("data", TWO)
        assert provider.attached() == ()

    def test_detach_is_idempotent(self, provider: Any) -> None:
        """What is not attached, or was never made, is detached already."""
        provider.detach_volume("data", ONE)
        provider.create_volume("data", {})
        provider.detach_volume("data", ONE)
        provider.attach_volume("data", ONE)
        provider.detach_volume("data", ONE)
        provider.detach_volume("data", ONE)
        assert provider.attached() == ()

    def test_attaching_twice_is_attaching_once(self, provider: Any) -> None:
        """A start that died has attached it already: one detach_volume is enough after the next."""
        provider.create_volume("data", {})
        provider.attach_volume("data", ONE)
        assert os.path.isdir(provider.attach_volume("data", ONE))
        provider.detach_volume("data", ONE)
        assert provider.attached() == ()
        provider.remove_volume("data")

    def test_no_name_or_id_leads_out(self, provider: Any) -> None:
        """What is no name, or no id, is refused before anything is made; a volume that is not there is not found."""
        provider.create_volume("data", {})
        for name, id in (("../x", ONE), ("", ONE), ("data", "../x"), ("data", ONE[1:])):
            for call in (provider.attach_volume, provider.detach_volume):
                with pytest.raises(InvalidError):
                    call(name, id)
        with pytest.raises(NotFoundError):
            provider.attach_volume("other", ONE)
        assert provider.attached() == ()


@pytest.mark.root
class DriveVolumesSuite(Suite):
    """Every promise of `cmanager.seams.DriveVolumes`, checked. driver_options: of a volume, which the driver takes."""

    seam = "storage"
    ability = DriveVolumes
    driver_options: ClassVar[dict[str, str]] = {}

    def test_drives_volumes(self, provider: Any) -> None:
        """The provider has every method, and its driver is there."""
        assert isinstance(provider, DriveVolumes), "a method of cmanager.seams.DriveVolumes is missing"
        provider.check_driver()

    def test_a_recorded_volume_is_listed_and_its_name_taken(self, provider: Any) -> None:
        """record_volume alone decides whose a name is; ready_volume makes it, twice as well as once."""
        options = dict(self.driver_options)
        recorded = provider.record_volume("data", {"tier": "db"}, options, anonymous=True)
        assert (recorded.name, recorded.labels, recorded.options) == ("data", {"tier": "db"}, options)
        assert recorded.anonymous
        assert [volume.name for volume in provider.volumes()] == ["data"]
        with pytest.raises(ConflictError):
            provider.record_volume("data", {}, {})
        made = provider.ready_volume("data")
        assert provider.ready_volume("data") == made == provider.volume("data")
        assert (made.labels, made.options, made.anonymous) == ({"tier": "db"}, options, True)
        assert isinstance(provider.volume_status("data"), dict)

    def test_one_that_was_not_made_yet_is_removed_like_another(self, provider: Any) -> None:
        """A death between record_volume and ready_volume leaves a name that can be had again."""
        provider.record_volume("data", {}, {})
        provider.remove_volume("data")
        provider.remove_volume("data")
        assert provider.volumes() == ()
        with pytest.raises(NotFoundError):
            provider.ready_volume("data")
        provider.create_volume("data", {})
        provider.remove_volume("data")
        with pytest.raises(NotFoundError):
            provider.volume_status("data")

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hid", "-x", "a b", "a\n", "a\x1b", "x" * 129])
    def test_no_name_leads_out(self, provider: Any, name: str) -> None:
        """What is no name is refused everywhere, before anything is made or removed."""
        calls: tuple[Callable[[], object], ...] = (
            lambda: provider.record_volume(name, {}, {}),
            lambda: provider.ready_volume(name),
            lambda: provider.volume_status(name),
            lambda: provider.volume(name),
            lambda: provider.remove_volume(name),
            lambda: provider.volume_usage(name),
        )
        for call in calls:
            with pytest.raises(InvalidError):
                call()
        assert provider.volumes() == ()
