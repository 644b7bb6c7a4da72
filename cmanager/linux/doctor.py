"""What this host offers to containers. A pure look: nothing is changed, nothing is tried that would leave a trace."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import re
import shutil
from typing import Literal

from . import capabilities, cgroups, syscalls, userns
from .values import frozen


@frozen
class Finding:
    """One thing a host has or lacks.

    what: str; state: "ok", "degraded" or "missing"; found: what was seen; cost: what the lack costs a user, "" where
    there is none; needed: whether no container runs without it.
    """

    what: str
    state: Literal["ok", "degraded", "missing"]
    found: str
    cost: str = ""
    needed: bool = False


def examine() -> tuple[Finding, ...]:
    """Everything, in the order in which a container needs it."""
    return (
        _kernel(),
        *_namespaces(),
        _overlay(),
        _idmapped(),
        *_cgroups(),
        *_capabilities(),
        _seccomp(),
        _security_modules(),
        _forwarding(),
        _program("nft", "nftables", "networks of type bridge cannot reach beyond the host"),
        _program("apt-get", "apt", "the busybox recipe takes the host's own busybox"),
        _program("mmdebstrap", "mmdebstrap", "the debian recipes cannot be built"),
    )


def _finding(what: str, has: bool, found: str, cost: str, *, needed: bool = False) -> Finding:
    return Finding(what, "ok" if has else "missing", found, "" if has else cost, needed)


def _kernel() -> Finding:
    release = os.uname().release
    version = tuple(int(word) for word in re.findall(r"\d+", release)[:2])
    if version < (5, 14):
        return Finding("kernel", "missing", release, "5.14 is needed: mount_setattr, openat2, cgroup.kill", needed=True)
    if version < (6, 8):
        return Finding("kernel", "degraded", release, "fewer than 6.8: overlayfs takes 200 layers, not 500")
    return Finding("kernel", "ok", release)


def _idmapped() -> Finding:
    # mount_setattr(2): MOUNT_ATTR_IDMAP is of 5.12, on overlayfs' layers of 5.19; none can be probed without a mount.
    version = tuple(int(word) for word in re.findall(r"\d+", os.uname().release)[:2])
    has = version >= (5, 19)
    return _finding("idmapped mounts", has, "yes" if has else "no", "--userns auto fails on an image's layers")


def _namespaces() -> tuple[Finding, ...]:
    found = []
    for kind, (_, file) in syscalls.NAMESPACES.items():
        has = os.path.exists(f"/proc/self/ns/{file}")
        optional = {"user": "--userns auto is refused", "time": "--timens private is refused"}
        cost = optional.get(kind, f"no {kind} namespace, no container")
        found.append(_finding(f"namespace {kind}", has, "yes" if has else "no", cost, needed=kind not in optional))
    has = userns.available()
    shown = "yes" if has else "no: the host forbids them, or this is a changed root (chroot)"
    found.append(_finding("user namespaces allowed", has, shown, "--userns auto is refused"))
    return tuple(found)


def _overlay() -> Finding:
    has = "\toverlay" in _read("/proc/filesystems")
    release = os.uname().release
    module = any(
        os.path.exists(f"/lib/modules/{release}/kernel/fs/overlayfs/overlay.ko{end}")
        for end in ("", ".xz", ".zst", ".gz")
    )
    return _finding(
        "overlayfs", has or module, "yes" if has else "module" if module else "no", "set storage = vfs, which copies"
    )


def _cgroups() -> tuple[Finding, ...]:
    hierarchies = cgroups.hierarchies()
    versions = sorted({hierarchy.version for hierarchy in hierarchies})
    words = " and ".join(f"v{version}" for version in versions) or "none"
    found = [_finding("cgroups", bool(hierarchies), words, "nothing can be limited", needed=True)]
    have = {name: h.version for h in hierarchies for name in h.controllers}
    costs = {
        "memory": "-m is refused, death for memory is not seen",
        "cpu": "--cpus and --cpu-shares are refused",
        "cpuset": "--cpuset-cpus is refused",
        "pids": "--pids-limit is refused, and a fork bomb is not held",
        "blkio": "--device-read-bps and the like are refused",
        "hugetlb": "--hugetlb is refused",
    }
    have.setdefault("blkio", have.get("io", 0))
    for name, cost in costs.items():
        version = have.get(name)
        found.append(_finding(f"controller {name}", bool(version), f"v{version}" if version else "no", cost))
    devices = "devices" in have or 2 in versions
    how = "v1" if "devices" in have else "v2, by BPF"
    found.append(_finding("device control", devices, how if devices else "no", "no container", needed=True))
    memory = next((h for h in hierarchies if "memory" in h.controllers), None)
    if memory:
        swap = memory.version == 2 or os.path.exists(f"{memory.mountpoint}/memory.memsw.limit_in_bytes")
        found.append(_finding("swap accounting", swap, "yes" if swap else "no", "-m does not bound what is swapped"))
    return tuple(found)


def _capabilities() -> tuple[Finding, ...]:
    effective = capabilities.of_process()["CapEff"]
    costs = {
        "CAP_SYS_ADMIN": ("no container", True),
        "CAP_NET_ADMIN": ("no network but none and host", False),
        "CAP_SYS_RESOURCE": ("--ulimit cannot raise a hard limit: it is clamped with a warning", False),
        "CAP_MKNOD": ("no device nodes in containers and images", True),
    }
    found = []
    for name, (cost, needed) in costs.items():
        has = bool(effective >> capabilities.NUMBERS[name] & 1)
        found.append(_finding(name, has, "yes" if has else "no", cost, needed=needed))
    return tuple(found)


def _seccomp() -> Finding:
    actions = _read("/proc/sys/kernel/seccomp/actions_avail")
    library = ctypes.util.find_library("seccomp")
    binding = importlib.util.find_spec("pyseccomp") is not None
    parts = (
        f"kernel {'yes' if actions else 'no'}",
        library or "no libseccomp",
        "pyseccomp" if binding else "no pyseccomp",
    )
    cost = "install libseccomp2 and pyseccomp, or run with --security-opt seccomp=unconfined"
    return _finding("seccomp", bool(actions and library and binding), ", ".join(parts), cost, needed=True)


def _security_modules() -> Finding:
    active = _read("/sys/kernel/security/lsm")
    has = "apparmor" in active or "selinux" in active
    # Docker would give each container a profile of it; capabilities, seccomp and masked paths hold without.
    cost = "containers have no profile of it, --security-opt apparmor= and label= are refused" if has else ""
    return Finding("AppArmor or SELinux", "degraded" if has else "ok", active or "none seen", cost)


def _forwarding() -> Finding:
    on = _read("/proc/sys/net/ipv4/ip_forward") == "1"
    return Finding("ip_forward", "ok", "on" if on else "off, turned on by the first container on a bridge")


def _program(name: str, package: str, cost: str) -> Finding:
    path = shutil.which(name)
    return _finding(f"program {name}", bool(path), path or f"not found (package {package})", cost)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip("\n")
    except OSError:
        return ""
