"""Controllers of cgroup v1 (Documentation/admin-guide/cgroup-v1)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from ...errors import HostError
from . import files
from .rules import DeviceRule

_FREEZE_SECONDS = 10.0


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
    """The device list (cgroup-v1/devices.rst); raises HostError."""
    for rule in rules:
        file = f"{directory}/devices.{'allow' if rule.allow else 'deny'}"
        if rule.type == "a":
            files.write(file, "a")
            continue
        major, minor = ("*" if number is None else str(number) for number in (rule.major, rule.minor))
        files.write(file, f"{rule.type} {major}:{minor} {rule.access}")


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
