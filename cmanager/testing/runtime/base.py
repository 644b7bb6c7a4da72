"""The fixtures that all parts of the suite share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...linux import cgroups
from ...seams import Runtime
from ..suite import Suite
from . import bundle
from .box import Box


@pytest.mark.root
class Base(Suite):
    """One container to try the runtime on."""

    seam = "runtime"
    ability = Runtime

    @pytest.fixture(scope="session")
    def busybox(self) -> Path:
        """A static busybox, see `bundle.find_busybox`; override the fixture to name another."""
        found = bundle.find_busybox()
        if not found:
            pytest.skip("no static busybox: install one (Debian: busybox-static) or set CMANAGER_TEST_BUSYBOX")
        return found

    @pytest.fixture
    def box(self, place: Path, tmp_path: Path, busybox: Path) -> Iterator[Box]:
        """A container that has not been made; the host sees no mount of it, during the test or after."""
        bundles = tmp_path / "bundles"
        bundles.mkdir()
        box = Box(lambda: self.make(place), bundles, busybox)
        yield box
        # A container that names no cgroup may get one from its runtime, which then removes it.
        made = [hierarchy.path(box.id) for hierarchy in cgroups.hierarchies()]
        left = [path for path in made if os.path.isdir(path)]
        assert left == [], "a cgroup that the runtime made by itself must go with the container"
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            seen = [line for line in file if str(tmp_path) in line]
        assert seen == [], "what is mounted for a container must not be seen by the host"
