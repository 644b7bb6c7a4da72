"""How much of the disk things take, and what of it could be had back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..linux.values import frozen
from ..model.container import Container
from ..model.image import Image, ImageEntry
from ..model.volume import Volume
from ..plugins import Plugins

_LIVE = ("running", "paused")


@frozen
class Size:
    """Bytes of a container. writable: what it wrote; virtual: that and its image's layers as stored."""

    writable: int
    virtual: int


@frozen
class ImageUse:
    """An image on the disk. names: its references, empty for none; shared: bytes of layers that other images have too;
    unique: those that would go with it; containers: made from it."""

    image: Image
    names: tuple[str, ...]
    shared: int
    unique: int
    containers: int


@frozen
class VolumeUse:
    """A volume on the disk. size: bytes of its files, 0 where they cannot be counted; containers: that use it."""

    volume: Volume
    size: int
    containers: int


@frozen
class Total:
    """One line of `system df`. active: how many are in use; size, reclaimable: bytes, the latter of what is not."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int


@frozen
class DiskUsage:
    """Images with their layers as stored, containers with what they wrote, and volumes with what is in them."""

    images: tuple[ImageUse, ...]
    containers: tuple[tuple[Container, Size], ...]
    volumes: tuple[VolumeUse, ...] = ()

    @property
    def totals(self) -> tuple[Total, ...]:
        """A line for each kind."""
        images, used = _layers(use.image for use in self.images), [use for use in self.images if use.containers]
        live = [size.writable for container, size in self.containers if container.status.state in _LIVE]
        written = sum(size.writable for _, size in self.containers)
        needed = sum(_layers(use.image for use in used).values())
        stored = sum(images.values())
        kept = [use.size for use in self.volumes if use.containers]
        idle = [use.size for use in self.volumes if not use.containers]
        return (
            Total("Images", len(self.images), len(used), stored, stored - needed),
            Total("Containers", len(self.containers), len(live), written, written - sum(live)),
            Total("Local Volumes", len(self.volumes), len(kept), sum(kept) + sum(idle), sum(idle)),
        )


def size(plugins: Plugins, container: Container, image: Image | None) -> Size:
    """What one container takes; grows with the number of files it wrote."""
    writable: int = plugins.get("storage", container.providers.storage).usage(container.id)
    return Size(writable, writable + (image.size if image else 0))


def images(entries: Iterable[ImageEntry], containers: Iterable[Container]) -> tuple[ImageUse, ...]:
    """Every image once, with all its names."""
    by_digest: dict[str, tuple[Image, list[str]]] = {}
    for entry in entries:
        by_digest.setdefault(entry.image.digest, (entry.image, []))[1].append(entry.reference)
    having = Counter(layer for image, _ in by_digest.values() for layer in _layers([image]))
    made = Counter(container.image_digest for container in containers)
    found = []
    for digest, (image, names) in by_digest.items():
        layers = _layers([image])
        unique = sum(layers[layer] for layer in layers if having[layer] == 1)
        shared = sum(layers.values()) - unique
        found.append(ImageUse(image, tuple(filter(None, names)), shared, unique, made[digest]))
    return tuple(found)


def _layers(found: Iterable[Image]) -> dict[str, int]:
    """Bytes of each layer of these images, by digest."""
    return {layer.digest: layer.size for image in found for layer in image.layers}
