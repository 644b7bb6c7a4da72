"""What `rm` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConflictError, CorruptError, NotFoundError, PluginError
from .control import Control
from .reconcile import Reconciler

if TYPE_CHECKING:
    from .engine import Engine


class Removing:
    """Removes containers of one engine."""

    def __init__(self, engine: Engine, reconciler: Reconciler, control: Control) -> None:
        self._engine, self._reconciler, self._control = engine, reconciler, control

    def remove(self, word: str, *, force: bool = False, volumes: bool = False) -> None:
        """See `Engine.remove`."""
        id = self._engine.store.find(word)
        try:
            container = self._engine.inspect(id)
        except CorruptError:
            if not force:
                raise
            self._remove_corrupt(id)
            return
        if container.status.active:
            if not force:
                raise ConflictError(f"container {word} is {container.status.state}, stop it first or use -f")
            self._control.end(container)
        elif container.status.supervisor:
            container.status.supervisor.wait_gone(30)
        self.forget(id, volumes=volumes)

    def forget(self, id: str, *, volumes: bool = False) -> None:
        """Remove what does not run, whoever else removes it meanwhile."""
        with self._engine.store.locked(id):
            try:
                recorded = self._engine.store.load(id)
            except NotFoundError:
                return
            try:
                container = self._reconciler.settle_locked(recorded)
            except NotFoundError as error:
                raise PluginError(f"cannot undo what container {id[:12]} has: {error}") from None
            if container is None:
                return
            if container.status.active:
                raise ConflictError(f"container {id[:12]} was started again meanwhile")
            self._reconciler.forget(container, anonymous=volumes)
        self._engine.announcer.container("destroy", container)

    def _remove_corrupt(self, id: str) -> None:
        """A record that does not parse: undo by name what every configured provider may hold for it."""
        from .collect import undo_all

        with self._engine.store.locked(id):
            undo_all(self._engine.store, self._engine.plugins, id)
            self._engine.store.remove(id)
