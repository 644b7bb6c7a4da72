"""Controllers of cgroup v1 (Documentation/admin-guide/cgroup-v1)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from ...errors import HostError
from . import files
from .rules import DeviceRule

_FREEZE_SECONDS = 10.0

#: Type, major and minor number, None for any.
_Device = tuple[str, int | None, int | None]


def is_prepared(parent: str, controllers: tuple[str, ...]) -> bool:
    """Whether the cgroup `parent` is there and its children can hold processes."""
    if "cpuset" in controllers:
        return bool(files.read_or(f"{parent}/cpuset.mems", ""))
    return os.path.isdir(parent)


def prepare_parent(root: str, parent: str, controllers: tuple[str, ...]) -> None:
    """Make the new cgroup `parent` fit to have children: in a cpuset nothing may run before both lists are set."""
    prepare(root, parent, controllers)


def prepare(parent: str, own: str, controllers: tuple[str, ...]) -> None:
    """The same for a container's cgroup (cpuset(7), cpus and mems)."""
    if "cpuset" not in controllers:
        return
    for name in ("cpuset.cpus", "cpuset.mems"):
        files.write(f"{own}/{name}", files.read(f"{parent}/{name}"))


def set_devices(directory: str, rules: Iterable[DeviceRule]) -> None:
    """The device list (cgroup-v1/devices.rst); raises HostError.

    Where all was denied before and is to be but for some, only what differs is written: at no moment is a running
    container without the devices it keeps.
    """
    rules = tuple(rules)
    old, new = _listed(files.read(f"{directory}/devices.list")), _allowed(rules)
    if old is None or new is None:
        for rule in rules:
            _write(directory, "allow" if rule.allow else "deny", (rule.type, rule.major, rule.minor), rule.access)
        return
    for device, access in new.items():
        if more := access - old.get(device, set()):
            _write(directory, "allow", device, "".join(sorted(more)))
    for device, access in old.items():
        if less := access - new.get(device, set()):
            _write(directory, "deny", device, "".join(sorted(less)))


def _listed(text: str) -> dict[_Device, set[str]] | None:
    """What devices.list allows, None where that is everything."""
    found: dict[_Device, set[str]] = {}
    for line in text.splitlines():
        kind, numbers, access = line.split()
        if kind == "a":
            return None
        major, minor = (None if number == "*" else int(number) for number in numbers.split(":"))
        found[kind, major, minor] = set(access)
    return found


def _allowed(rules: tuple[DeviceRule, ...]) -> dict[_Device, set[str]] | None:
    """The same for rules that begin with a denial of everything; None for others."""
    if not rules or rules[0].allow or rules[0].type != "a":
        return None
    found: dict[_Device, set[str]] = {}
    for rule in rules[1:]:
        if rule.type == "a":
            return None
        access = found.setdefault((rule.type, rule.major, rule.minor), set())
        (access.update if rule.allow else access.difference_update)(rule.access)
    return {device: access for device, access in found.items() if access}


def _write(directory: str, verb: str, device: _Device, access: str) -> None:
    kind = device[0]
    numbers = ":".join("*" if number is None else str(number) for number in device[1:])
    files.write(f"{directory}/devices.{verb}", "a" if kind == "a" else f"{kind} {numbers} {access}")


def freeze(directory: str, frozen: bool) -> None:
    """Freeze or thaw, and wait for it; a group that keeps forking is thawed a moment and frozen again (freezer.rst)."""
    file, wanted = f"{directory}/freezer.state", "FROZEN" if frozen else "THAWED"
    deadline, tries = time.monotonic() + _FREEZE_SECONDS, 0
    while True:
        files.write(file, wanted)
        if files.read(file) == wanted:
            return
        if time.monotonic() > deadline:
            files.write(file, "THAWED")
            raise HostError(f"reach state {wanted} in", file, 110)
        tries += 1
        if tries % 50 == 0:
            files.write(file, "THAWED")
        time.sleep(0.001)
