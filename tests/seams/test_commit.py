"""The ability to tell what a container changed: one suite over every storage provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmanager.seams import Storage
from cmanager.testing.commit import CommitSuite

from .test_storage import make

pytestmark = pytest.mark.root


class TestOverlay(CommitSuite):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> Storage:
        return make("overlay", tmp_path / "state")


class TestVfs(CommitSuite):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> Storage:
        return make("vfs", tmp_path / "state")
