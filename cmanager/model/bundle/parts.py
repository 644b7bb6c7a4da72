"""Parts of a configuration as the values that `cmanager.linux` takes; for one that `read` has checked."""

from __future__ import annotations

from typing import Any

from ...linux.executable import Identity
from ...linux.mounts import Mount


def mounts(config: dict[str, Any]) -> tuple[Mount, ...]:
    """Its mounts, in their order; one without a type is a bind mount."""
    return tuple(
        Mount(m.get("type", "bind"), m.get("source", ""), m["destination"], tuple(m.get("options", ())))
        for m in config.get("mounts", ())
    )


def identity(process: dict[str, Any]) -> Identity:
    """Who executes the program of a process object, and from where; the last PATH counts (environ(7))."""
    user = process.get("user", {})
    path = next((entry[5:] for entry in reversed(process.get("env", ())) if entry.startswith("PATH=")), "")
    groups = tuple(user.get("additionalGids", ()))
    return Identity(user.get("uid", 0), user.get("gid", 0), groups, process["cwd"], path)
