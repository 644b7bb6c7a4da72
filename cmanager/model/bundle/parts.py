"""Parts of a configuration as the values that `cmanager.linux` takes; for one that `read` has checked."""

from __future__ import annotations

import os
import stat
from typing import Any

from ...linux.executable import Identity
from ...linux.mounts import Mount
from ...linux.nodes import STANDARD, Node

_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


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


def nodes(config: dict[str, Any]) -> tuple[Node, ...]:
    """Its device nodes: those that every container has, then those of `linux.devices`."""
    standard = (Node(f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(*numbers)) for name, numbers in STANDARD.items())
    return (*standard, *map(_node, config.get("linux", {}).get("devices", ())))


def _node(data: dict[str, Any]) -> Node:
    mode = _KINDS[data["type"]] | data.get("fileMode", 0o666) & 0o7777
    device = os.makedev(data.get("major", 0), data.get("minor", 0))
    return Node(data["path"], mode, device, data.get("uid", 0), data.get("gid", 0))
