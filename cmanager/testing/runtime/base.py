"""The fixtures that all parts of the suite share."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...linux import cgroups
from ...seams import Runtime
from . import bundle
from .box import Box


class Base:
    """How the runtime is made, and one container to try it on."""

    @abstractmethod
    def make(self, directory: Path) -> Runtime:
        """A runtime that keeps what it keeps below `directory`, which does not exist yet; fresh for each test."""

    @pytest.fixture(scope="session")
    def busybox(self) -> Path:
        """A static busybox, see `bundle.find_busybox`; override the fixture to name another."""
        found = bundle.find_busybox()
        if not found:
            pytest.skip("no static busybox: install one (Debian: busybox-static) or set CMANAGER_TEST_BUSYBOX")
        return found

    @pytest.fixture
    def box(self, tmp_path: Path, busybox: Path) -> Iterator[Box]:
        """A container that has not been made; the host sees no mount of it, during the test or after."""
        place = tmp_path / "bundles"
        place.mkdir()
        box = Box(self.make(tmp_path / "runtime"), place, busybox)
        yield box
        # A container that names no cgroup may get one from its runtime, which then removes it.
        made = [hierarchy.path(box.id) for hierarchy in cgroups.hierarchies()]
        assert [path for path in made if os.path.isdir(path)] == []
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            assert [line for line in file if str(tmp_path) in line] == []
