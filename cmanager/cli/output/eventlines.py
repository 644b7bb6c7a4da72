"""Events as lines, as JSON in Docker's shape, and the filters for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import filters
from .gofunctions import OpenMap
from .human import nanosecond_time
from .rows import split_reference
from .safe import printable

if TYPE_CHECKING:
    from ...state.journal import Entry


def line(entry: Entry) -> str:
    """ "TIME container start ID (image=busybox, name=x)"."""
    about = ", ".join(f"{key}={value}" for key, value in sorted(entry.attributes.items()))
    return printable(f"{nanosecond_time(entry.time)} {entry.kind} {entry.action} {entry.id} ({about})")


def fields(entry: Entry) -> dict[str, Any]:
    """What a template sees."""
    return {
        "Type": entry.kind,
        "Action": entry.action,
        "Actor": {"ID": entry.id, "Attributes": OpenMap(entry.attributes)},
        "Scope": "local",
        "Time": entry.time // 10**9,
        "TimeNano": entry.time,
        "Status": entry.action,
        "ID": entry.id,
        "From": entry.attributes.get("image", "") if entry.kind == "container" else "",
    }


def document(entry: Entry) -> dict[str, Any]:
    """What `--format json` and `{{json .}}` show: Docker's names, some of which it spells in lower case."""
    old = {"status": entry.action, "id": entry.id}
    if entry.kind == "container":
        old["from"] = entry.attributes.get("image", "")
    return {
        **(old if entry.kind in ("container", "image") else {}),
        "Type": entry.kind,
        "Action": entry.action,
        "Actor": {"ID": entry.id, "Attributes": entry.attributes},
        "scope": "local",
        "time": entry.time // 10**9,
        "timeNano": entry.time,
    }


def event_filters(given: Iterable[str]) -> filters.Test[Entry]:
    """What `events --filter` keeps. InvalidError for an unknown key."""
    return filters.parse(given, _FILTERS)


def _named(kind: str) -> filters.Maker[Entry]:
    return lambda value: (
        lambda entry: (
            entry.kind == kind and bool(value) and (entry.id.startswith(value) or entry.attributes.get("name") == value)
        )
    )


def _action(value: str) -> filters.Test[Entry]:
    # "exec_create: sh" is an exec_create.
    return lambda entry: value in (entry.action, entry.action.partition(":")[0])


def _image(value: str) -> filters.Test[Entry]:
    def test(entry: Entry) -> bool:
        if entry.kind == "image":
            names = (entry.id, entry.attributes.get("name", ""))
        else:
            names = (entry.attributes.get("image", ""), "")
        return any(value in (name, split_reference(name)[0]) for name in names if name)

    return test


def _label(value: str) -> filters.Test[Entry]:
    matches = filters.label(value)
    return lambda entry: matches(entry.attributes)


_FILTERS: dict[str, filters.Maker[Entry]] = {
    "type": lambda value: lambda entry: entry.kind == value,
    "event": _action,
    "container": _named("container"),
    "network": _named("network"),
    "volume": _named("volume"),
    "pod": _named("pod"),
    "image": _image,
    "label": _label,
}
FILTER_KEYS = sorted(_FILTERS)
