"""Command lines whose server keeps slots, for tests of what becomes of those."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmanager.linux import cgroups
from cmanager.linux.process import Process
from cmanager.state import records

from . import servers
from .support import WARM, Cli, wait_until


class Pool(Cli):
    """A command line whose server keeps slots."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"CMANAGER_POOL": "1"}

    def slots(self) -> list[str]:
        """Ids of those that are whole: their keeper holds nothing back any more."""
        try:
            found = os.listdir(self.run_root / "slots")
        except FileNotFoundError:
            return []
        return [id for id in found if all(os.path.isdir(path) for path in places(id)) and linked(id)]

    def one(self) -> str:
        """The id of the slot that is there, or about to be."""
        wait_until(self.slots, "a slot is kept")
        return self.slots()[0]

    def keeper(self, id: str) -> Process:
        """The process that keeps it."""
        return records.read(str(self.run_root / "slots" / id), Process, "")

    def none_left(self) -> bool:
        """Whether nothing is kept."""
        return not os.listdir(self.run_root / "slots") and not os.listdir(self.run_root / "netns")


def places(id: str) -> list[str]:
    """Where there are cgroups of that id."""
    found = []
    for hierarchy in cgroups.hierarchies():
        for below in filter(lambda name: name.startswith("cmanager"), os.listdir(hierarchy.mountpoint)):
            if os.path.isdir(f"{hierarchy.mountpoint}/{below}/{id}"):
                found.append(f"{hierarchy.mountpoint}/{below}/{id}")
    return found or ["/nowhere"]


def linked(id: str) -> bool:
    """Whether the host has a link for that id."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return f"cm{id[:13]}@" in links


@contextmanager
def pool(machine: Cli, run_root: Path) -> Iterator[Pool]:
    """One with the images of `machine` and a server of its own; nothing of it is left afterwards."""
    made = Pool(machine.root, run_root, command=tuple(WARM))
    servers.begin(made)
    yield made
    assert made.clear() == []
    servers.end(made)
    wait_until(made.none_left, "what was kept is gone with the server")
