"""Volumes: what a storage provider keeps, and how a container uses one."""

from __future__ import annotations

from attrs import field

from ..linux.values import frozen
from ..linux.volumes.volume import Volume

__all__ = ["Volume", "VolumeMount"]


@frozen
class VolumeMount:
    """A volume at a place in a container.

    name: "" for an anonymous one, which gets a name of 64 hex digits when the container is recorded; target: absolute
    path inside; options: mount(8) options beyond the default `nosuid` and `nodev`; copy: whether an empty volume is
    filled with what the image has at the target; subpath: directory or file in the volume that is mounted, "" for the
    whole; driver: storage provider, "" for the one that has the volume, or the default one; labels, driver_options: of
    a volume that must be made; anonymous: whether it goes with the container (`rm -v`, `--rm`).
    """

    name: str
    target: str
    options: tuple[str, ...] = ()
    copy: bool = True
    subpath: str = ""
    driver: str = ""
    labels: dict[str, str] = field(factory=dict)
    anonymous: bool = False
    driver_options: dict[str, str] = field(factory=dict)
