"""What a program can do, asked of the program itself; kept for each file, since asking costs a process."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import Any

from cmanager.linux import programs, syscalls
from cmanager.model import Features
from cmanager.model.codec import from_data, to_data
from cmanager.model.runtime import OPTIONS

from .tool import Tool

#: Raised when what is asked changes: answers that were kept before are not used.
_VERSION = 2
#: In no runtime of this kind: an init of its own; an environment without a HOME that it adds; a user namespace, whose
#: root may not walk to a bundle that only the host's root may see.
_NEVER = {"init", "exact_environment", "userns"}
_HOME = "HOME is set for the program where the container has none"


def probed(tool: Tool, directory: str) -> Features:
    """The features of the program, from a file in `directory` when it was asked before. Raises UnsupportedError."""
    also = [_VERSION, list(OPTIONS), os.uname().release]
    try:
        answer = programs.remembered(f"{directory}/features.json", [tool.path], also, lambda: to_data(_ask(tool)))
    except OSError as error:
        raise tool.missing(error) from None
    return from_data(Features, answer)


def _ask(tool: Tool) -> Features:
    version = _version(tool.says("--version"))
    told: dict[str, Any] = {}
    with suppress(ValueError):
        told = json.loads(tool.says("features") or "{}")
    return _from_features(told, version) if told else _from_version(tool, version)


def _from_features(told: dict[str, Any], version: str) -> Features:
    """By runtime-spec features.md and features-linux.md."""
    linux = told.get("linux", {})
    kinds = tuple(kind for kind in linux.get("namespaces", ()) if _in_kernel(kind) and kind != "user")
    lacking = set(_NEVER)
    if not linux.get("seccomp", {}).get("enabled"):
        lacking.add("seccomp")
    lacking |= {"hooks", "poststart"} if not told.get("hooks") else set()
    if not linux.get("capabilities"):
        lacking.add("capabilities")
    return Features(kinds, _but(lacking), version=version, notes=(_HOME,))


def _from_version(tool: Tool, version: str) -> Features:
    """Without `features`: what the specification asks of each, less what the version says it was built without."""
    words = set(re.findall(r"[+-][A-Z]+", tool.says("--version")))
    kinds = tuple(kind for kind in ("mount", "pid", "ipc", "uts", "network", "cgroup") if _in_kernel(kind))
    lacking = set(_NEVER)
    for word, option in (("SECCOMP", "seccomp"), ("CAP", "capabilities")):
        if words and f"+{word}" not in words:
            lacking.add(option)
    note = "it has no verb features: what it can do is taken from the specification and its version"
    return Features(kinds, _but(lacking), version=version, notes=(_HOME, note))


def _but(lacking: set[str]) -> tuple[str, ...]:
    return tuple(option for option in OPTIONS if option not in lacking)


def _in_kernel(kind: str) -> bool:
    return kind in syscalls.NAMESPACES and os.path.exists(f"/proc/self/ns/{syscalls.NAMESPACES[kind][1]}")


def _version(text: str) -> str:
    found = re.search(r"version\s+(\S+)", text)
    return found[1] if found else ""


def is_safe(version: str, minimum: tuple[str, ...]) -> bool:
    """Whether a version is at least the first safe one of its series, or of a later series than all of them.

    A series is what two leading numbers say. A version that has none is not known to be safe.
    """
    own, least = _numbers(version), sorted(map(_numbers, minimum))
    if not least:
        return True
    if own[:2] > least[-1][:2]:
        return True
    return any(own[:2] == safe[:2] and own >= safe for safe in least)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, found[1].split("."))) if found else ()
