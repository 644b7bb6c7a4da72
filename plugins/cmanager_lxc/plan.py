"""The plan: config.json read once, checked, and turned into what is made beforehand and what LXC is told.

What LXC cannot be told faithfully is made before lxc-execute begins, in mounts and namespaces that it inherits: mounts
with all their options and no link on the way, device nodes, masks, kernel parameters. What only exists inside (/proc,
/sys, message queues), and everything about the program, stands in the LXC configuration.
"""

from __future__ import annotations

import os
from typing import Any

from cmanager.errors import HostError, InvalidError, UnsupportedError
from cmanager.linux import pins, syscalls
from cmanager.linux.executable import Identity
from cmanager.linux.mounts import PROPAGATION, Mount, parse_options
from cmanager.linux.nodes import Node
from cmanager.linux.values import frozen
from cmanager.model import Features
from cmanager.model import bundle as bundles

#: What lxc mounts: these show the namespaces of whoever mounts them.
INSIDE = ("proc", "sysfs", "mqueue")
_IPC = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")
_UTS = ("kernel.domainname", "kernel.hostname")


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
    nodes: tuple[Node, ...]
    masked: tuple[str, ...]
    readonly: tuple[str, ...]
    root_readonly: bool
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
    _refuse_shared(linux.get("rootfsPropagation") or "rprivate", mounts)
    return Plan(
        root=root if root.startswith("/") else f"{bundle}/{root}",
        mounts=mounts,
        nodes=bundles.nodes(config),
        masked=tuple(linux.get("maskedPaths", ())),
        readonly=tuple(linux.get("readonlyPaths", ())),
        root_readonly=bool(config["root"].get("readonly")),
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
    known = pins.is_kind(fd, syscalls.NAMESPACES[kind][0])
    os.close(fd)
    if not known:
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
