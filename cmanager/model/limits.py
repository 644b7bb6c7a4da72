"""Resource limits, and what was used."""

from __future__ import annotations

from attrs import field, fields, frozen


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


@frozen
class Limits:
    """What a cgroup may use; None leaves the kernel's default.

    memory: bytes; cpus: number of CPUs' worth of time per second; cpu_shares: Docker's relative weight, 2 to 262144;
    pids: processes and threads, -1 for no limit; cpuset_cpus: list such as "0-1,3"; devices: rules in order, the
    last that matches wins, empty for no device control.
    """

    memory: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    pids: int | None = None
    cpuset_cpus: str | None = None
    devices: tuple[DeviceRule, ...] = ()

    def given(self) -> dict[str, object]:
        """The limits that are set, by field name."""
        values = {f.name: getattr(self, f.name) for f in fields(Limits)}
        return {name: value for name, value in values.items() if value not in (None, ())}


@frozen
class Usage:
    """What a cgroup used; a counter the host does not offer is None.

    cpu_seconds: float; memory_bytes, memory_peak_bytes: int; oom_kills: int, processes killed for memory; pids: int.
    """

    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    oom_kills: int | None = None
    pids: int | None = None


@frozen
class Cgroup:
    """A cgroup of a container.

    path: str like "/cmanager/ID", the same in every hierarchy, which is OCI's cgroupsPath; warnings: lines for the
    user about what was degraded.
    """

    path: str
    warnings: tuple[str, ...] = field(default=())
