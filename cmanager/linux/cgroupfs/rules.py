"""Which devices a cgroup may use."""

from __future__ import annotations

from ..values import frozen


@frozen
class DeviceRule:
    """One entry of the device list (cgroup-v1/devices.rst).

    allow: bool; type: "a", "b" or "c"; major, minor: int, None for any; access: a subset of "rwm".
    """

    allow: bool
    type: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"
