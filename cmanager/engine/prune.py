"""Removing what is not in use."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ConflictError, NotFoundError
from ..linux.values import frozen
from ..model.container import Container
from ..model.image import Image
from ..model.volume import Volume
from . import usage

if TYPE_CHECKING:
    from .engine import Engine

_LIVE = ("running", "paused")


@frozen
class Pruned:
    """What was removed, a line each ("Untagged: …", "Deleted: …" or a container's id), and how many bytes that were."""

    removed: tuple[str, ...]
    bytes: int


class Prune:
    """`engine.prune`: the verbs of `cmanager … prune`. What came into use meanwhile stays."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def containers(self, chosen: Callable[[Container], bool] = lambda container: True) -> Pruned:
        """Remove the containers that do not run and are `chosen`."""
        engine, removed, freed = self._engine, [], 0
        for container in engine.list():
            if container.status.state in _LIVE or container.status.supervisor or not chosen(container):
                continue
            size = engine.size(container).writable
            try:
                engine.remove(container.id)
            except (ConflictError, NotFoundError):
                continue
            removed.append(container.id)
            freed += size
        return self._told("container", removed, freed)

    def images(self, *, everything: bool = False, chosen: Callable[[Image], bool] = lambda image: True) -> Pruned:
        """Remove images that no container was made from and that are `chosen`, and unpacked layers nobody needs.

        everything: also those that have a name.
        """
        engine = self._engine
        found = usage.images(engine.image_entries(), engine.list())
        going = [use for use in found if not use.containers and chosen(use.image) and (everything or not use.names)]
        removed: list[str] = []
        for use in going:
            try:
                removed += engine.remove_image(use.image.digest)
            except (ConflictError, NotFoundError):
                continue
        blobs = {layer.path: layer.size for use in going for layer in use.image.layers}
        freed = sum(size for path, size in blobs.items() if not os.path.exists(path))
        return self._told("image", removed, freed + engine.collect().bytes)

    def volumes(self, chosen: Callable[[Volume], bool] = lambda volume: True) -> Pruned:
        """Remove the volumes that no container uses, not even a stopped one, and that are `chosen`.

        Raises ConflictError while the record of a container is corrupt.
        """
        removed, freed = self._engine.volumes.prune(chosen)
        return self._told("volume", [*removed], freed)

    def _told(self, kind: str, removed: list[str], freed: int) -> Pruned:
        self._engine.announcer.announce(kind, "prune", "", {"reclaimed": str(freed)})
        return Pruned(tuple(removed), freed)
