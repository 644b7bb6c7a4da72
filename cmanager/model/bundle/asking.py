"""Which abilities of a runtime a configuration asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import UnsupportedError
from ..runtime import DEFAULT_UMASK, INIT_ANNOTATION, Features

#: Fields that ask for an option of `Features` when they hold anything; for those without one there is no runtime.
_FIELDS = {
    "process.terminal": "terminal",
    "process.capabilities": "capabilities",
    "process.noNewPrivileges": "no_new_privileges",
    "process.rlimits": "rlimits",
    "process.apparmorProfile": "",
    "process.selinuxLabel": "",
    "linux.seccomp": "seccomp",
    "linux.sysctl": "sysctl",
    "linux.maskedPaths": "masked_paths",
    "linux.readonlyPaths": "masked_paths",
    "linux.devices": "devices",
    "linux.uidMappings": "userns",
    "linux.gidMappings": "userns",
    "linux.intelRdt": "",
    "linux.personality": "",
    "linux.mountLabel": "",
    "linux.timeOffsets": "",
}


def asked(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(option of `Features`, field that asks for it) for a configuration that `read` has checked."""
    for field, option in _FIELDS.items():
        above, _, key = field.partition(".")
        if config.get(above, {}).get(key):
            yield option, field
    for kind, hooks in config.get("hooks", {}).items():
        if hooks:
            yield "poststart" if kind == "poststart" else "hooks", f"hooks.{kind}"
    if any(mount.get("type") == "cgroup" for mount in config.get("mounts", ())):
        yield "cgroup_mount", "a mount of type cgroup"
    user = config["process"].get("user", {})
    if user.get("uid") or user.get("gid") or user.get("additionalGids"):
        yield "user", "process.user"
    if user.get("umask", DEFAULT_UMASK) != DEFAULT_UMASK:
        yield "umask", "process.user.umask"
    if config.get("annotations", {}).get(INIT_ANNOTATION) == "true":
        yield "init", f"annotation {INIT_ANNOTATION}"


def refuse(config: dict[str, Any], features: Features, name: str) -> None:
    """UnsupportedError for the first field that the runtime of this name does not announce.

    Without an entry for it a namespace is the host's. Every runtime makes a mount namespace of its own, and needs one.
    """
    for option, field in asked(config):
        if option not in features.options:
            raise UnsupportedError(f"runtime {name} cannot honour {field}")
    made = {}
    for entry in config.get("linux", {}).get("namespaces", ()):
        kind, path = entry["type"], entry.get("path")
        made[kind] = path
        known = features.can_join(kind) if path else kind in features.namespaces
        if not known:
            raise UnsupportedError(f"runtime {name} cannot {'join' if path else 'make'} a namespace of type {kind!r}")
    if made.get("mount", "none"):
        raise UnsupportedError(f"runtime {name}: a new mount namespace is required")
