"""How much of the disk things take."""

from __future__ import annotations

from attrs import frozen

from ..model.container import Container
from ..model.image import Image
from ..plugins import Plugins


@frozen
class Size:
    """Bytes of a container. writable: what it wrote; virtual: that and its image's layers as stored."""

    writable: int
    virtual: int


def size(plugins: Plugins, container: Container, image: Image | None) -> Size:
    """What one container takes; grows with the number of files it wrote."""
    writable: int = plugins.get("storage", container.providers.storage).usage(container.id)
    return Size(writable, writable + (image.size if image else 0))
