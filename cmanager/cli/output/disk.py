"""`system df`: totals, and everything in detail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ...model import ImageEntry
from . import typed
from .human import size
from .rows import Listed, image_row, listed_row
from .volumes import volume_row

if TYPE_CHECKING:
    from ...engine.usage import DiskUsage, ImageUse

HEADERS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
_IMAGE = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
_CONTAINER = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "Size": "SIZE",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Names": "NAMES",
}
_VOLUME = {"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"}


def rows(usage: DiskUsage) -> list[dict[str, str]]:
    """The totals, as Docker has them."""
    return [
        {
            "Type": total.kind,
            "TotalCount": str(total.total),
            "Active": str(total.active),
            "Size": size(total.size),
            "Reclaimable": f"{size(total.reclaimable)}{_percent(total.reclaimable, total.size)}",
        }
        for total in usage.totals
    ]


def sections(usage: DiskUsage) -> list[tuple[str, list[dict[str, str]], dict[str, str]]]:
    """Title, rows and headers of each part of `-v`."""
    now = time.time()
    images = []
    for use in usage.images:
        sizes = {"SharedSize": size(use.shared), "UniqueSize": size(use.unique), "Containers": str(use.containers)}
        images += [image_row(entry, now) | sizes for entry in _entries(use)]
    containers = []
    for container, found in usage.containers:
        containers.append(listed_row(Listed(container), now) | {"Size": size(found.writable)})
    volumes = []
    for kept in usage.volumes:
        volumes.append(volume_row(kept.volume) | {"Links": str(kept.containers), "Size": size(kept.size)})
    return [("Images", images, _IMAGE), ("Containers", containers, _CONTAINER), ("Local Volumes", volumes, _VOLUME)]


def items(usage: DiskUsage, verbose: bool) -> list[dict[str, Any]]:
    """Items of `cmanager.df/1`."""
    found: list[dict[str, Any]] = [
        {
            "type": total.kind.rpartition(" ")[2].lower(),
            "total": total.total,
            "active": total.active,
            "size_bytes": total.size,
            "reclaimable_bytes": total.reclaimable,
        }
        for total in usage.totals
    ]
    if verbose:
        found[0]["items"] = [
            typed.image(entry)
            | {"shared_size_bytes": use.shared, "unique_size_bytes": use.unique, "containers": use.containers}
            for use in usage.images
            for entry in _entries(use)
        ]
        found[1]["items"] = [typed.container(Listed(container, found)) for container, found in usage.containers]
        found[2]["items"] = [
            typed.volume(use.volume) | {"size_bytes": use.size, "containers": use.containers} for use in usage.volumes
        ]
    return found


def _entries(use: ImageUse) -> list[ImageEntry]:
    return [ImageEntry(name, use.image) for name in use.names or ("",)]


def _percent(part: int, whole: int) -> str:
    return f" ({part * 100 // whole}%)" if whole else ""
