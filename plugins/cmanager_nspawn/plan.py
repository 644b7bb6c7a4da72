"""From config.json to what this runtime prepares and what systemd-nspawn is told, in its own dialect of config.json.

That dialect is the specification's version 1.0.0 and knows no field that is not in it (systemd, nspawn-oci.c). What it
leaves out, changes the order of or ignores without a word is either done here (rootfs.py) or refused.
"""

from __future__ import annotations

import os
import re
from typing import Any

from cmanager.errors import UnsupportedError
from cmanager.linux import cgroups, executable, programs
from cmanager.linux.mounts import Mount
from cmanager.linux.nodes import STANDARD, Node
from cmanager.linux.values import frozen
from cmanager.model import bundle as bundles

#: File systems that systemd-nspawn mounts itself, inside the namespaces they belong to, with the places it puts them.
_OWN = {"proc": "/proc", "devpts": "/dev/pts", "mqueue": "/dev/mqueue"}
_OWN_PLACES = ("/proc/", "/dev/pts/", "/dev/mqueue/", "/sys/fs/cgroup/")
#: Nodes that it makes itself, and fails when somebody else did.
_NODES = STANDARD | {"ptmx": (5, 2), "net/tun": (10, 200)}
#: In /proc: what it makes read-only, all at once or none of it, and what it covers then. Elsewhere rootfs.py does both.
_READONLY = {f"/proc/{name}" for name in ("acpi", "apm", "asound", "bus", "fs", "irq", "scsi", "sys")}
_COVERED = {f"/proc/{name}" for name in ("kallsyms", "kcore", "keys", "sysrq-trigger", "timer_list")}
_CAPABILITY_SETS = ("bounding", "permitted", "effective", "inheritable", "ambient")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@frozen
class Plan:
    """root: the root file system; mounts, nodes, masked, readonly, root_readonly: for rootfs.py; netns: path or "".

    program, who: for the check of what will be executed; cgroup: path or ""; dialect: config.json for systemd-nspawn;
    arguments: what it would ignore there; writable: whether /proc/sys and the like stay writable.
    """

    root: str
    mounts: tuple[Mount, ...]
    nodes: tuple[Node, ...]
    masked: tuple[str, ...]
    readonly: tuple[str, ...]
    root_readonly: bool
    netns: str
    program: str
    who: executable.Identity
    cgroup: str
    dialect: dict[str, Any]
    arguments: tuple[str, ...]
    writable: bool


def make(bundle: str, config: dict[str, Any]) -> Plan:
    """The plan for a configuration that was checked and fits the features. UnsupportedError for what is beyond them."""
    process, linux = config["process"], config.get("linux", {})
    root = config["root"]["path"]
    root = root if root.startswith("/") else f"{bundle}/{root}"
    kinds = {entry["type"]: entry.get("path", "") for entry in linux["namespaces"]}
    masked, readonly = linux.get("maskedPaths", []), linux.get("readonlyPaths", [])
    _check_texts(process)
    _check_paths(readonly)
    writable = not any(path in _READONLY | _COVERED for path in readonly)
    # A second cover over its own would lie on all of its covers: they are one shared mount (mount_namespaces(7)).
    left = [path for path in masked if path.startswith("/proc/") and (writable or path not in _COVERED)]
    user = process.get("user", {})
    ids = user.get("uid", 0), user.get("gid", 0), tuple(user.get("additionalGids", ()))
    path = next((entry[5:] for entry in reversed(process.get("env", [])) if entry.startswith("PATH=")), None)
    return Plan(
        root=root,
        mounts=_mounts(config.get("mounts", ())) + (() if "cgroup" in kinds else _shared_cgroups(config)),
        nodes=tuple(node for node in bundles.nodes(config) if not _is_standard(node)),
        masked=tuple(path for path in masked if not path.startswith("/proc/")),
        readonly=tuple(path for path in readonly if not path.startswith("/proc/")),
        root_readonly=bool(config["root"].get("readonly")),
        netns=kinds.get("network", ""),
        program=process["args"][0],
        who=executable.Identity(*ids, cwd=process["cwd"], path=programs.SYSTEM_PATH if path is None else path),
        cgroup=linux.get("cgroupsPath", ""),
        dialect=_dialect(root, config, kinds, left),
        arguments=("--no-new-privileges=yes",) if process.get("noNewPrivileges") else (),
        writable=writable,
    )


def _dialect(root: str, config: dict[str, Any], kinds: dict[str, str], masked: list[str]) -> dict[str, Any]:
    process = config["process"]
    user, sets = process.get("user", {}), process.get("capabilities", {})
    return {
        "ociVersion": "1.0.0",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0} | {key: user[key] for key in ("uid", "gid", "additionalGids") if key in user},
            "args": process["args"],
            "env": process.get("env", []),
            "cwd": process["cwd"],
            # Without a set it would take one of its own, which has nearly all of them.
            "capabilities": {key: sets.get(key, []) for key in _CAPABILITY_SETS},
            "rlimits": process.get("rlimits", []),
        },
        "root": {"path": root, "readonly": False},
        # Without one it would take the name of the machine, which is made of the id.
        "hostname": config.get("hostname") or os.uname().nodename,
        "linux": {
            "namespaces": [{"type": kind, **({"path": path} if path else {})} for kind, path in kinds.items()],
            # It skips those that it thinks to have dealt with, by their names: these are the same, otherwise spelled.
            "maskedPaths": [f"/proc/sys/..{path.removeprefix('/proc')}" for path in masked],
        },
    }


def _mounts(entries: list[dict[str, Any]]) -> tuple[Mount, ...]:
    """What is mounted here, before systemd-nspawn, which leaves alone what is a mount already."""
    found = []
    for entry in entries:
        target = "/" + os.path.normpath(entry["destination"]).lstrip("/")
        kind = entry.get("type", "bind")
        mount = Mount(kind, entry.get("source", ""), target, tuple(entry.get("options", ())))
        if _OWN.get(kind) == target:
            continue
        if f"{target}/".startswith(_OWN_PLACES) or (kind in (*_OWN, "cgroup2") and not mount.is_bind):
            raise UnsupportedError(f"runtime nspawn cannot honour a mount of type {kind!r} at {target}")
        if target in ("/dev", "/run") and kind != "tmpfs":
            raise UnsupportedError(f"runtime nspawn needs a tmpfs at {target}, it keeps files of its own there")
        found.append(mount)
    targets = {mount.target for mount in found}
    standard = {
        "/dev": Mount("tmpfs", "tmpfs", "/dev", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        "/run": Mount("tmpfs", "tmpfs", "/run", ("nosuid", "nodev", "strictatime", "mode=755")),
    }
    return tuple(mount for target, mount in standard.items() if target not in targets) + tuple(found)


def _shared_cgroups(config: dict[str, Any]) -> tuple[Mount, ...]:
    """What it would mount from the host's cgroup namespace, which takes nsdelegate from the host (cgroups(7))."""
    flags = ("ro", "nosuid", "nodev", "noexec")
    found = [hierarchy.mountpoint for hierarchy in cgroups.hierarchies() if hierarchy.version == 2]
    has_sys = any(entry["destination"].rstrip("/") == "/sys" for entry in config.get("mounts", ()))
    below = () if has_sys else (Mount("sysfs", "sysfs", "/sys", flags),)
    return below + tuple(Mount("bind", path, "/sys/fs/cgroup", ("bind", *flags)) for path in found)


def _is_standard(node: Node) -> bool:
    numbers = _NODES.get(node.path.removeprefix("/dev/"))
    return numbers is not None and node.device == os.makedev(*numbers) and os.path.exists(node.path)


def _check_texts(process: dict[str, Any]) -> None:
    for text in (*process["args"], *process.get("env", ()), process["cwd"]):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnsupportedError("runtime nspawn cannot honour arguments and variables that are no UTF-8") from None
    if not process["args"][0]:
        raise UnsupportedError("runtime nspawn cannot honour an empty process.args[0]")
    for entry in process.get("env", ()):
        if not _VARIABLE.match(entry):
            raise UnsupportedError(
                f"runtime nspawn cannot honour the variable {entry[:100]!r}: letters, digits and _ alone"
            )


def _check_paths(readonly: list[str]) -> None:
    for path in readonly:
        if path.startswith("/proc/") and path not in _READONLY | _COVERED:
            raise UnsupportedError(f"runtime nspawn cannot make {path} read-only")
