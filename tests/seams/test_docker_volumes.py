"""Docker volume plugins pass the suites of volumes that another program keeps, with a real plugin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmanager.testing import AttachVolumesSuite, DriveVolumesSuite, Suite

from ..support import wait_until


class OnShelf(Suite):
    """With Docker's plugin `shelf` running."""

    provider = "docker:shelf"

    def configure(self, place: Path) -> dict[str, Any]:
        return {"sockets": [str(place)], "specs": []}

    @pytest.fixture(autouse=True)
    def shelf(self, place: Path) -> Iterator[None]:
        script = Path(__file__).parent.parent / "dockervolume.py"
        socket = place / "shelf.sock"
        plugin = subprocess.Popen([sys.executable, script, socket, place])
        try:
            wait_until(socket.exists, "the plugin listens")
            yield
        finally:
            plugin.kill()
            plugin.wait()
            for mounted in (place / "mounts").glob("*"):
                subprocess.run(["umount", "-q", mounted], check=False)


class TestAttach(OnShelf, AttachVolumesSuite):
    pass


class TestDrive(OnShelf, DriveVolumesSuite):
    driver_options = {"size": "1g"}
