"""Docker volume plugins pass the suites of volumes that another program keeps, with a real plugin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmanager.model import Context
from cmanager.testing.attach import AttachVolumesSuite, DriveVolumesSuite
from cmanager_dockervolume import Options, cmanager_storages

from ..support import wait_until


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Any]:
    script = Path(__file__).parent.parent / "dockervolume.py"
    socket = tmp_path / "shelf.sock"
    plugin = subprocess.Popen([sys.executable, script, socket, tmp_path])
    try:
        wait_until(socket.exists, "the plugin listens")
        [offered] = cmanager_storages()
        context = Context(f"{tmp_path}/state", f"{tmp_path}/run", str(tmp_path), "", "docker:shelf")
        yield offered.factory(context, Options(sockets=(str(tmp_path),), specs=()))
    finally:
        plugin.kill()
        plugin.wait()
        for place in (tmp_path / "mounts").glob("*"):
            subprocess.run(["umount", "-q", place], check=False)


@pytest.mark.root
class TestAttach(AttachVolumesSuite):
    pass


@pytest.mark.root
class TestDrive(DriveVolumesSuite):
    @pytest.fixture
    def options(self) -> dict[str, str]:
        return {"size": "1g"}
