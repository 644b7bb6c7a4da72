"""The record of one container, as its supervisor reads and writes it beside the commands that do so too."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import attrs

from ..errors import HostError
from ..model.container import Container, Status
from ..plugins import Plugins
from ..state import Store
from ..state.journal import Journal
from .announce import Announcer


class Book:
    """container, status: as they were read or written last; warned: lines for the user that are not recorded yet.

    patient: whether a full disk is put up with, which must not end a program that runs, or refuses a start that has not
    been told of.
    """

    def __init__(self, store: Store, plugins: Plugins, container: Container) -> None:
        self.store, self.container = store, container
        self.status: Status = container.status
        self.warned: list[str] = []
        self.patient = False
        plugins.warn = self.warned.append
        self._announcer = Announcer(plugins, Journal(store.paths.events), self.warned.append)

    @property
    def log(self) -> str:
        """Path of its log."""
        return f"{self.store.home(self.container.id)}/log"

    def locked(self, *, wait: bool = True) -> AbstractContextManager[int]:
        """Its lock, see `Store.locked`."""
        return self.store.locked(self.container.id, wait=wait)

    def reload(self) -> None:
        """Read what commands have written: renamed, updated, paused, asked to stop."""
        self.container = self.store.load(self.container.id)
        self.status = self.container.status

    def record(self, *, durable: bool = False, **changes: Any) -> None:
        """Change the status; the caller holds the lock. Raises HostError unless `patient`."""
        self.status = attrs.evolve(self.status, **changes)
        try:
            self.store.save_status(self.container.id, self.status, durable=durable)
        except HostError as error:
            if not self.patient:
                raise
            self.warned.append(f"its state could not be recorded: {error}")

    def change(self, **changes: Any) -> None:
        """The same for a caller without the lock, on top of what commands have written."""
        with self.locked():
            self.reload()
            self.record(**changes)

    def paused(self) -> bool:
        """Whether a command has frozen it."""
        return self.store.load(self.container.id).status.state == "paused"

    def stop_requested(self) -> bool:
        """Whether a command wants it to end."""
        return self.store.load(self.container.id).status.stop_requested

    def other(self, word: str) -> Container:
        """Another container as it is recorded now. Raises NotFoundError, ConflictError."""
        return self.store.load(self.store.find(word))

    def warnings(self) -> tuple[str, ...]:
        """Those of the record and those that came since."""
        return tuple(dict.fromkeys((*self.status.warnings, *self.warned)))

    def announce(self, action: str, **attributes: str) -> None:
        """Tell of an event of the container."""
        self._announcer.container(action, self.container, **attributes)
