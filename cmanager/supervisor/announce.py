"""What happened, told to everyone who wants to hear: the journal, and the plugins under `[hooks] event`."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..model.container import Container
from ..plugins import Plugins
from ..state.journal import Journal

#: Called with one line for the user; must not raise.
Warn = Callable[[str], None]


def unheard(warning: str) -> None:
    """The warning that nobody reads."""


class Announcer:
    """Records events and tells of them; nothing that fails here reaches the container.

    warn: gets a line for each listener that failed, and when the journal could not be written.
    """

    def __init__(self, plugins: Plugins, journal: Journal, warn: Warn) -> None:
        self._plugins, self._journal, self._warn = plugins, journal, warn

    def warn(self, warning: str) -> None:
        """Tell of what failed and stops nothing."""
        self._warn(warning)

    def container(self, action: str, container: Container, **attributes: str) -> None:
        """Something happened to a container. action: Docker's word; attributes: exitCode, signal, …"""
        about = container.request.labels | attributes | {"image": container.request.image, "name": container.name}
        self.announce("container", action, container.id, about)

    def image(self, action: str, id: str, name: str, **attributes: str) -> None:
        """Something happened to an image. id: its digest, or the reference that was pulled; name: as in Docker."""
        self.announce("image", action, id, {**attributes, "name": name})

    def announce(self, kind: str, action: str, id: str, attributes: dict[str, str]) -> None:
        """Something happened to an object of any kind (network, volume, …)."""
        try:
            now = self._journal.append(kind, action, id, attributes)
        except OSError as error:
            now = time.time_ns()
            why = f"{(error.strerror or '').lower()} (errno {error.errno})"
            self._warn(f"cannot record the event {kind} {action}: {why}")
        from ..model.plugin import Event

        for warning in self._plugins.announce(Event(kind, action, id, now / 10**9, attributes)):
            self._warn(warning)
