"""The plan: config.json read once, checked, and turned into what is made beforehand and what LXC is told.

What LXC cannot be told faithfully is made before lxc-execute begins, in mounts and namespaces that it inherits: mounts
with all their options and no link on the way, device nodes, masks, kernel parameters. What only exists inside (/proc,
/sys, message queues), and everything about the program, stands in the LXC configuration.
"""

from __future__ import annotations

import fcntl
import os
import stat
from typing import Any

from attrs import frozen

from cmanager.errors import HostError, InvalidError, UnsupportedError
from cmanager.linux import syscalls
from cmanager.linux.executable import Identity
from cmanager.linux.mounts import PROPAGATION, Mount, parse_options
from cmanager.model import Features
from cmanager.model import bundle as bundles

#: What lxc mounts: these show the namespaces of whoever mounts them.
INSIDE = ("proc", "sysfs", "mqueue")
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_IPC = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")
_NS_GET_NSTYPE = 0xB703
_UTS = ("kernel.domainname", "kernel.hostname")


@frozen
class Device:
    """A node to make under the root. mode: with stat.S_IFCHR, S_IFBLK or S_IFIFO."""

    path: str
    mode: int
    device: int
    uid: int
    gid: int


@frozen
class Space:
    """A namespace that is made or joined for its parameters before lxc begins.

    kind: in OCI's words; path: of one that there is, "" for a new one; sysctls: (name, value); hostname: of a new one.
    """

    kind: str
    path: str
    sysctls: tuple[tuple[str, str], ...]
    hostname: str = ""


@frozen
class Plan:
    """What is asked, in the order of `tree.build`; see there.

    mounts: those of `INSIDE` are only given their place; spaces: namespaces with parameters; namespaces: kind to path,
    "" for a new one; config: config.json.
    """

    root: str
    mounts: tuple[Mount, ...]
    devices: tuple[Device, ...]
    masked: tuple[str, ...]
    readonly: tuple[str, ...]
    root_readonly: bool
    propagation: int
    spaces: tuple[Space, ...]
    namespaces: dict[str, str]
    cgroup: str
    who: Identity
    umask: int
    terminal: bool
    config: dict[str, Any]


def read(bundle: str, features: Features) -> Plan:
    """The plan for the bundle at this path. Raises InvalidError, UnsupportedError, HostError."""
    config = bundles.read(bundle)
    bundles.refuse(config, features, "lxc")
    process, linux = config["process"], config.get("linux", {})
    refuse_capabilities(process)
    root = config["root"]["path"]
    namespaces = {entry["type"]: entry.get("path") or "" for entry in linux.get("namespaces", ())}
    for kind, path in namespaces.items():
        if path:
            _check_namespace(kind, path)
    if "cgroup" not in namespaces and any(namespaces.values()):
        # Seen with 5.0.2: as soon as it joins one namespace it makes a cgroup namespace, whatever it was told.
        raise UnsupportedError(
            "runtime lxc cannot honour --cgroupns host with a network of its own, use --network host"
        )
    mounts = bundles.mounts(config)
    propagation = linux.get("rootfsPropagation") or "rprivate"
    _refuse_shared(propagation, mounts)
    return Plan(
        root=root if root.startswith("/") else f"{bundle}/{root}",
        mounts=mounts,
        devices=tuple(_device(device) for device in (*_standard_devices(), *linux.get("devices", ()))),
        masked=tuple(linux.get("maskedPaths", ())),
        readonly=tuple(linux.get("readonlyPaths", ())),
        root_readonly=bool(config["root"].get("readonly")),
        propagation=PROPAGATION[propagation],
        spaces=_spaces(config, namespaces),
        namespaces=namespaces,
        cgroup=linux.get("cgroupsPath", ""),
        who=bundles.identity(process),
        umask=process.get("user", {}).get("umask", 0o022),
        terminal=bool(process.get("terminal")),
        config=config,
    )


def refuse_capabilities(process: dict[str, Any]) -> None:
    """UnsupportedError for what LXC has no word for: it knows the bounding set, others follow from it (execve(2))."""
    sets = process.get("capabilities", {})
    for kind in ("ambient", "inheritable"):
        if sets.get(kind):
            raise UnsupportedError(f"runtime lxc cannot honour process.capabilities.{kind}")


def _check_namespace(kind: str, path: str) -> None:
    """InvalidError for a path that leads to no namespace of this kind (ioctl_nsfs(2)); lxc would go on without it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError.of(f"open the {kind} namespace", path, error) from None
    try:
        found = fcntl.ioctl(fd, _NS_GET_NSTYPE)
    except OSError:
        found = 0
    finally:
        os.close(fd)
    if found != syscalls.NAMESPACES[kind][0]:
        raise InvalidError(f"{path} is not a {kind} namespace")


def _refuse_shared(propagation: str, mounts: tuple[Mount, ...]) -> None:
    """LXC makes every mount of a container private or a slave, and mounts inside in words of its own."""
    shared = syscalls.MS_SHARED | syscalls.MS_UNBINDABLE
    if propagation not in PROPAGATION:
        raise InvalidError(f"linux.rootfsPropagation: unknown word {propagation!r}")
    if PROPAGATION[propagation] & shared:
        raise UnsupportedError(f"runtime lxc cannot honour linux.rootfsPropagation {propagation!r}")
    for mount in mounts:
        if parse_options(mount.options).propagation & shared:
            raise UnsupportedError(f"runtime lxc cannot honour a mount at {mount.target} that is shared or unbindable")


def _standard_devices() -> list[dict[str, Any]]:
    """The nodes every container has (runtime-spec config-linux.md, default devices)."""
    return [
        {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
        for name, (major, minor) in _DEVICES.items()
    ]


def _device(data: dict[str, Any]) -> Device:
    kinds = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
    mode = kinds[data["type"]] | data.get("fileMode", 0o666) & 0o7777
    number = os.makedev(data.get("major", 0), data.get("minor", 0))
    return Device(data["path"], mode, number, data.get("uid", 0), data.get("gid", 0))


def _spaces(config: dict[str, Any], namespaces: dict[str, str]) -> tuple[Space, ...]:
    """LXC writes parameters when /proc/sys is read-only already, so they are written before."""
    found: dict[str, list[tuple[str, str]]] = {}
    parameters = dict(config.get("linux", {}).get("sysctl", {}))
    if config.get("domainname"):
        parameters["kernel.domainname"] = config["domainname"]
    for name, value in parameters.items():
        kind = _kind_of(name)
        if kind not in namespaces:
            raise InvalidError(f"linux.sysctl {name} is not a parameter of a namespace of the container")
        found.setdefault(kind, []).append((name, value))
    return tuple(
        Space(kind, namespaces[kind], tuple(values), config.get("hostname", "") if kind == "uts" else "")
        for kind, values in found.items()
    )


def _kind_of(name: str) -> str:
    if "/" in name or ".." in name:
        return ""
    if name.startswith("net."):
        return "network"
    return "ipc" if name.startswith(_IPC) else "uts" if name in _UTS else ""
