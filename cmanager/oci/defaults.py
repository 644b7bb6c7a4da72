"""What every container gets unless it asks otherwise: Docker's defaults, as data."""

from __future__ import annotations

import os

from ..errors import InvalidError
from ..linux.mounts import Mount
from ..model.limits import DeviceRule

#: Docker's fourteen (row D-01).
DEFAULT_CAPABILITIES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL"),
    "CAP_AUDIT_WRITE",
)

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_MASKED_PATHS = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
    *("/sys/firmware", "/sys/devices/virtual/powercap"),
)

#: Making any node is allowed, using it is not, but for these (row D-06).
DEFAULT_DEVICE_RULES = (
    DeviceRule(False),
    DeviceRule(True, "b", access="m"),
    DeviceRule(True, "c", access="m"),
    *(DeviceRule(True, "c", 1, minor) for minor in (3, 5, 7, 8, 9)),
    *(DeviceRule(True, "c", 5, minor) for minor in (0, 1, 2)),
    DeviceRule(True, "c", 136),
)

_IPC_SYSCTLS = {
    *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax"),
    *("kernel.shmmni", "kernel.shm_rmid_forced"),
}
_UTS_SYSCTLS = {"kernel.domainname"}


_CPUS = "/sys/devices/system/cpu"


def masked_paths() -> tuple[str, ...]:
    """Paths that are covered, those of this host's processors among them."""
    names = sorted(os.listdir(_CPUS)) if os.path.isdir(_CPUS) else ()
    found = (f"{_CPUS}/{name}/thermal_throttle" for name in names if name.startswith("cpu"))
    return (*_MASKED_PATHS, *filter(os.path.exists, found))


def default_mounts(shm_size: int) -> tuple[Mount, ...]:
    """The mounts every container has, in their order; shm_size: bytes of /dev/shm (row D-05)."""
    quiet = ("nosuid", "noexec", "nodev")
    terminals = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
    return (
        Mount("proc", "proc", "/proc", quiet),
        Mount("tmpfs", "tmpfs", "/dev", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        Mount("devpts", "devpts", "/dev/pts", terminals),
        Mount("sysfs", "sysfs", "/sys", (*quiet, "ro")),
        Mount("cgroup", "cgroup", "/sys/fs/cgroup", (*quiet, "ro")),
        Mount("mqueue", "mqueue", "/dev/mqueue", quiet),
        Mount("tmpfs", "shm", "/dev/shm", (*quiet, "mode=1777", f"size={shm_size}")),
    )


def check_sysctl(key: str, *, own_ipc: bool, own_net: bool, own_uts: bool) -> None:
    """InvalidError for a kernel parameter that is the host's, or would be in the namespaces that are shared."""
    if key in _IPC_SYSCTLS or key.startswith("fs.mqueue."):
        space, own = "ipc", own_ipc
    elif key.startswith("net."):
        space, own = "network", own_net
    elif key in _UTS_SYSCTLS:
        space, own = "uts", own_uts
    else:
        raise InvalidError(f"--sysctl {key} is not a parameter of a namespace, it would change the host")
    if "/" in key or ".." in key or not all(key.split(".")):
        raise InvalidError(f"invalid --sysctl {key!r}, expected a name such as net.core.somaxconn")
    if not own:
        raise InvalidError(f"--sysctl {key} needs a {space} namespace of its own")
