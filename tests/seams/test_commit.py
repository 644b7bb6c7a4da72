"""The ability to tell what a container changed: one suite over every storage provider."""

from __future__ import annotations

from cmanager.testing import CommitSuite


class TestOverlay(CommitSuite):
    provider = "overlay"


class TestVfs(CommitSuite):
    provider = "vfs"
