"""What is mounted in a container, for `ps` and `inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model import Container
from ...model.glimpse import Shown

_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_SHORT = 15


def described(found: Container, mountpoints: Mapping[str, str]) -> list[dict[str, Any]]:
    """`Mounts` of `inspect`. mountpoints: paths of volumes by name; one that is not there has no source."""
    shown: list[dict[str, Any]] = []
    for mount in found.request.mounts:
        kind = "bind" if mount.is_bind else mount.type
        words = tuple(option for option in mount.options if option not in ("bind", "rbind"))
        source = "" if kind == "tmpfs" else mount.source
        shown.append({"Type": kind, "Source": source, "Destination": mount.target, **_how(words)})
    for use in found.request.volumes:
        source = mountpoints.get(use.name, "")
        facts = {"Type": "volume", "Name": use.name, "Source": source, "Destination": use.target, "Driver": use.driver}
        shown.append({**facts, **_how(use.options)})
    return shown


def named(found: Shown, *, trunc: bool) -> list[str]:
    """The column `Mounts` of `ps`: names of volumes, sources of binds; trunc: shorten names as Docker does."""
    names = [use.name for use in found.request.volumes]
    if trunc:
        names = [name if len(name) <= _SHORT else name[: _SHORT - 1] + "…" for name in names]
    return [*(mount.source for mount in found.request.mounts if mount.is_bind), *names]


def uses(found: Container, value: str) -> bool:
    """Whether `ps --filter volume=VALUE` keeps it: a volume's name, a source, or a place inside."""
    places = [(mount.source, mount.target) for mount in found.request.mounts]
    places += [(use.name, use.target) for use in found.request.volumes]
    return any(value in place for place in places)


def _how(options: tuple[str, ...]) -> dict[str, Any]:
    writable = True
    for option in options:
        writable = option not in ("ro", "rro") and (writable or option == "rw")
    propagation = next((option for option in reversed(options) if option in _PROPAGATIONS), "")
    mode = ",".join(o for o in options if o not in _PROPAGATIONS and not o.startswith("X-"))
    return {"Mode": mode, "RW": writable, "Propagation": propagation}
