"""The verbs of a pod that are its containers': in the order in which they were made, stops in reverse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import CmanagerError, ConflictError, NotFoundError
from ..model.container import Container

if TYPE_CHECKING:
    from .engine import Engine
    from .pods import Entry, Pods


class PodControl:
    """`engine.pods.control`. Every container is tried; then a CmanagerError tells which failed, and of what."""

    def __init__(self, engine: Engine, pods: Pods) -> None:
        self._engine, self._pods = engine, pods

    def start(self, word: str) -> None:
        """Start those that do not run; makes the namespaces anew that a reboot took, also of an empty pod."""
        entry = self._pods.inspect(word)
        self._pods.ready(entry.pod.id)
        self._each(entry, entry.containers, lambda container: self._engine.start(container.id))

    def stop(self, word: str, timeout: float | None = None) -> None:
        """Stop those that run. timeout: as of `Engine.stop`, for each."""
        entry = self._pods.inspect(word)
        self._each(entry, entry.containers[::-1], lambda container: self._engine.stop(container.id, timeout))

    def restart(self, word: str, timeout: float | None = None) -> None:
        """`stop` and `start` in one; those that do not run are started."""
        entry = self._pods.inspect(word)
        self.stop(entry.pod.id, timeout)
        for container in entry.containers:
            if container.status.supervisor:
                container.status.supervisor.wait_gone(30)
        self.start(entry.pod.id)

    def kill(self, word: str, signal_name: str = "SIGKILL") -> None:
        """Send a signal to those that run. Raises ConflictError when none does."""
        entry = self._pods.inspect(word)
        found = self._those(entry, "running", ("running", "paused"))
        self._each(entry, found, lambda container: self._engine.kill(container.id, signal_name))

    def pause(self, word: str) -> None:
        """Freeze those that run. Raises ConflictError when none does."""
        entry = self._pods.inspect(word)
        found = self._those(entry, "running", ("running",))
        self._each(entry, found, lambda container: self._engine.pause(container.id))

    def unpause(self, word: str) -> None:
        """Let those that are frozen go on. Raises ConflictError when none is."""
        entry = self._pods.inspect(word)
        found = self._those(entry, "paused", ("paused",))
        self._each(entry, found, lambda container: self._engine.unpause(container.id))

    def _those(self, entry: Entry, word: str, states: tuple[str, ...]) -> list[Container]:
        found = [container for container in entry.containers if container.status.state in states]
        if not found:
            raise ConflictError(f"no container of pod {entry.pod.name} is {word}")
        return found

    def _each(self, entry: Entry, containers: Iterable[Container], act: Callable[[Container], object]) -> None:
        failed = []
        for container in containers:
            try:
                with suppress(NotFoundError):  # it was removed meanwhile, as those with --rm are
                    act(container)
            except CmanagerError as error:
                failed.append(f"container {container.name}: {error}")
        if failed:
            raise CmanagerError(f"pod {entry.pod.name}: {'; '.join(failed)}")
