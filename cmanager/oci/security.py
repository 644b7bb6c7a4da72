"""Capabilities and `--security-opt`: what a container may do, from Docker's words."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidError, UnsupportedError
from ..linux import capabilities
from ..linux.values import frozen
from . import defaults, seccomp


@frozen
class Security:
    """capabilities: full names in the kernel's order; no_new_privileges: bool; seccomp: the OCI object or None for
    unconfined; masked, readonly: paths."""

    capabilities: tuple[str, ...]
    no_new_privileges: bool
    seccomp: dict[str, Any] | None
    masked: tuple[str, ...]
    readonly: tuple[str, ...]


def decide(
    *, privileged: bool, add: tuple[str, ...], drop: tuple[str, ...], options: tuple[str, ...], machine: str
) -> Security:
    """All decisions in one place; InvalidError for unknown words, UnsupportedError for labels the kernel lacks."""
    granted = _capabilities(privileged, add, drop)
    no_new_privileges, unmask, profile = not privileged, privileged, "unconfined" if privileged else "default"
    for option in options:
        key, _, value = option.replace(":", "=", 1).partition("=")
        if key == "no-new-privileges":
            if value not in ("", "true", "false"):
                raise InvalidError(f"invalid --security-opt {option!r}, expected no-new-privileges[=true|false]")
            no_new_privileges = value != "false"
        elif key == "seccomp" and value:
            profile = value
        elif key == "systempaths" and value == "unconfined":
            unmask = True
        elif key in ("apparmor", "label") and value in ("unconfined", "disable"):
            continue
        elif key in ("apparmor", "label"):
            off = "unconfined" if key == "apparmor" else "disable"
            raise UnsupportedError(f"--security-opt {option!r} is not supported, only {key}={off} is")
        else:
            known = "no-new-privileges, seccomp=FILE|unconfined|default, systempaths=unconfined, apparmor=unconfined"
            raise InvalidError(f"unknown --security-opt {option!r}, known are {known}")
    policy = None
    if profile == "default":
        policy = seccomp.default_policy(granted, machine)
    elif profile != "unconfined":
        policy = seccomp.load_profile(profile, granted, machine)
    masked = () if unmask else defaults.masked_paths()
    return Security(granted, no_new_privileges, policy, masked, () if unmask else defaults.READONLY_PATHS)


def _capabilities(privileged: bool, add: tuple[str, ...], drop: tuple[str, ...]) -> tuple[str, ...]:
    # What the manager itself lacks cannot be given; naming it is an error, "ALL" means all there is.
    bounding = set(capabilities.names(capabilities.of_process()["CapBnd"]))
    adding, dropping = [_full(name) for name in add], [_full(name) for name in drop]
    granted = bounding if privileged else set(defaults.DEFAULT_CAPABILITIES) & bounding
    if "ALL" in adding:
        granted = set(bounding)
    if "ALL" in dropping:
        granted = bounding if "ALL" in adding else set()
    granted = (granted - set(dropping)) | {name for name in adding if name != "ALL"}
    for name in adding:
        if name != "ALL" and name not in bounding:
            raise UnsupportedError(f"--cap-add {name}: the manager itself does not have this capability")
    return tuple(name for name in capabilities.NUMBERS if name in granted)


def _full(name: str) -> str:
    upper = name.upper()
    if upper == "ALL":
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in capabilities.NUMBERS:
        import difflib

        close = difflib.get_close_matches(full, capabilities.NUMBERS, 1)
        raise InvalidError(f"unknown capability {name!r}" + (f", did you mean {close[0]}" if close else ""))
    return full
