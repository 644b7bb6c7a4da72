"""Which containers have their cgroup below a parent that a person named, and which parents were made for them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .. import files as plain
from ..values import frozen


@frozen
class Place:
    """parent: str, like "/web/front"; made: directories of cgroups that were made for it, outermost first."""

    parent: str
    made: tuple[str, ...] = ()


class Places:
    """A file for each such container, in a directory that need not outlive the kernel's cgroups, and may.

    Whoever makes or removes a parent is in `locked`. Raises OSError.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def of(self, id: str) -> Place | None:
        """Where a container has its cgroup, None for the usual place."""
        try:
            with open(f"{self._directory}/{id}", encoding="utf-8") as file:
                data = json.load(file)
        except FileNotFoundError:
            return None
        return Place(data["parent"], tuple(data["made"]))

    def all(self) -> dict[str, Place]:
        """Every one, by id."""
        found: dict[str, Place] = {}
        with suppress(FileNotFoundError):
            for id in os.listdir(self._directory):
                if place := self.of(id) if len(id) == 64 else None:
                    found[id] = place
        return found

    def keep(self, id: str, place: Place) -> None:
        """Write it down, before the first directory is made."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        data = {"parent": place.parent, "made": place.made}
        plain.write_atomic(f"{self._directory}/{id}", json.dumps(data).encode())

    def drop(self, id: str) -> None:
        """Forget it; what is forgotten already is success."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._directory}/{id}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else makes or removes a parent meanwhile."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        with plain.locked(f"{self._directory}/lock"):
            yield
