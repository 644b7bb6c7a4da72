"""Volumes as rows of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...model import Volume
from . import filters
from .human import local_time


def volume_row(volume: Volume) -> dict[str, str]:
    """One line of `volume ls`; "N/A" is what Docker says for what it would have to walk through files for."""
    return {
        "Driver": volume.driver,
        "Name": volume.name,
        "Mountpoint": volume.mountpoint,
        "Scope": volume.scope,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(volume.labels.items())),
        "CreatedAt": local_time(volume.created_at),
        "Anonymous": str(volume.anonymous).lower(),
        "Size": "N/A",
        "Links": "N/A",
    }


FILTER_KEYS = ("dangling", "driver", "label", "name")
#: What `volume ls --sort` compares.
KEYS: dict[str, Callable[[Volume], Any]] = {
    "name": lambda volume: volume.name,
    "driver": lambda volume: volume.driver,
    "created": lambda volume: volume.created_at,
}


def volume_filters(given: Iterable[str], used: frozenset[str]) -> Callable[[Volume], bool]:
    """What `volume ls --filter` keeps; used: names of volumes in use. InvalidError for an unknown key or bad value."""

    def dangling(value: str) -> filters.Test[Volume]:
        wanted = filters.one_of("dangling", value.lower(), ("true", "false", "1", "0")) in ("true", "1")
        return lambda volume: wanted == (volume.name not in used)

    makers: dict[str, filters.Maker[Volume]] = {
        "name": _name,
        "label": _label,
        "driver": lambda value: lambda volume: volume.driver == value,
        "dangling": dangling,
    }
    return filters.parse(given, makers)


def prune_filters(given: Iterable[str]) -> Callable[[Volume], bool]:
    """What `volume prune --filter` removes. InvalidError for an unknown key."""
    return filters.parse(given, {"label": _label})


def _name(value: str) -> filters.Test[Volume]:
    pattern = filters.expression(value)
    return lambda volume: bool(pattern.search(volume.name))


def _label(value: str) -> filters.Test[Volume]:
    matches = filters.label(value)
    return lambda volume: matches(volume.labels)
