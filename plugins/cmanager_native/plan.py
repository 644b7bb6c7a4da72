"""The plan: config.json read once, checked, and turned into values that the child only has to carry out.

Whatever can fail because of the configuration fails here, in the parent, before anything is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cmanager.linux import capabilities, syscalls
from cmanager.linux.mounts import PROPAGATION, Mount
from cmanager.linux.nodes import Node
from cmanager.linux.values import frozen
from cmanager.model import Features
from cmanager.model import bundle as bundles


@frozen
class Hook:
    """One OCI hook. kind: "createRuntime", …; timeout: seconds or None."""

    kind: str
    path: str
    args: tuple[str, ...]
    env: tuple[str, ...]
    timeout: float | None


@frozen
class Credentials:
    """Who the program runs as; capability sets are bit masks."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int
    bounding: int
    permitted: int
    effective: int
    inheritable: int
    ambient: int
    no_new_privileges: bool
    seccomp: bytes | None
    rlimits: tuple[tuple[int, int, int], ...]


@frozen
class Program:
    """What is executed, by whom and where; terminal: whether it gets a terminal of its own."""

    argv: tuple[bytes, ...]
    env: dict[bytes, bytes]
    cwd: str
    credentials: Credentials
    terminal: bool


@frozen
class Plan:
    """Everything the child does, in the order it does it; see child.py.

    joins: (clone flag, path) of namespaces to enter; flags: clone flags of those to make; id_maps: lines for uid_map
    and gid_map; readonly, masked: paths; sysctls: (name, value).
    """

    root: str
    joins: tuple[tuple[int, str], ...]
    flags: int
    id_maps: tuple[str, str] | None
    propagation: int
    mounts: tuple[Mount, ...]
    nodes: tuple[Node, ...]
    sysctls: tuple[tuple[str, str], ...]
    readonly: tuple[str, ...]
    masked: tuple[str, ...]
    root_readonly: bool
    hostname: str
    domainname: str
    cgroup: str
    hooks: dict[str, tuple[Hook, ...]]
    annotations: dict[str, str]
    program: Program
    init: bool

    @property
    def has_user_namespace(self) -> bool:
        return bool(self.flags & syscalls.CLONE_NEWUSER) or any(f == syscalls.CLONE_NEWUSER for f, _ in self.joins)

    @property
    def new_cgroup_namespace(self) -> bool:
        return bool(self.flags & syscalls.CLONE_NEWCGROUP)

    @property
    def has_cgroup_namespace(self) -> bool:
        return self.new_cgroup_namespace or any(f == syscalls.CLONE_NEWCGROUP for f, _ in self.joins)


def read(bundle: str, features: Features, compile_filter: Callable[[dict[str, Any]], bytes]) -> Plan:
    """The plan for the bundle at this path; `compile_filter` turns `linux.seccomp` into BPF.

    Raises InvalidError for a configuration that is none, UnsupportedError for what is not among the features.
    """
    config = bundles.read(bundle)
    bundles.refuse(config, features, "native")
    return _plan(bundle, config, compile_filter)


def read_exec(
    bundle: str, process: dict[str, Any], compile_filter: Callable[[dict[str, Any]], bytes]
) -> tuple[Program, str]:
    """One more program for the container of this bundle, under its seccomp policy; and the cgroup it belongs to."""
    linux = bundles.read(bundle).get("linux", {})
    bundles.check_process(process)
    return _program(process, linux.get("seccomp"), compile_filter), linux.get("cgroupsPath", "")


def _plan(bundle: str, config: dict[str, Any], compile_filter: Callable[[dict[str, Any]], bytes]) -> Plan:
    process, linux = config["process"], config.get("linux", {})
    joins, flags = _namespaces(linux.get("namespaces", []))
    root = config["root"]["path"]
    return Plan(
        root=root if root.startswith("/") else f"{bundle}/{root}",
        joins=joins,
        flags=flags,
        id_maps=_id_maps(linux) if flags & syscalls.CLONE_NEWUSER else None,
        propagation=PROPAGATION[linux.get("rootfsPropagation") or "rprivate"],
        mounts=bundles.mounts(config),
        nodes=bundles.nodes(config),
        sysctls=tuple(linux.get("sysctl", {}).items()),
        readonly=tuple(linux.get("readonlyPaths") or ()),
        masked=tuple(linux.get("maskedPaths") or ()),
        root_readonly=bool(config["root"].get("readonly")),
        hostname=config.get("hostname", ""),
        domainname=config.get("domainname", ""),
        cgroup=linux.get("cgroupsPath", ""),
        hooks=_hooks(config.get("hooks", {})),
        annotations=config.get("annotations", {}),
        program=_program(process, linux.get("seccomp"), compile_filter),
        init=config.get("annotations", {}).get(bundles.INIT_ANNOTATION) == "true",
    )


def _program(
    process: dict[str, Any], seccomp: dict[str, Any] | None, compile_filter: Callable[[dict[str, Any]], bytes]
) -> Program:
    return Program(
        argv=tuple(arg.encode("utf-8", "surrogateescape") for arg in process["args"]),
        env=_environment(process.get("env", [])),
        cwd=process["cwd"],
        credentials=_credentials(process, seccomp, compile_filter),
        terminal=bool(process.get("terminal")),
    )


def _namespaces(entries: list[dict[str, str]]) -> tuple[tuple[tuple[int, str], ...], int]:
    joins, flags = [], 0
    for entry in entries:
        flag = syscalls.NAMESPACES[entry["type"]][0]
        if entry.get("path"):
            joins.append((flag, entry["path"]))
        else:
            flags |= flag
    # The user namespace first: it gives the right to join the others.
    return tuple(sorted(joins, key=lambda join: join[0] != syscalls.CLONE_NEWUSER)), flags


def _id_maps(linux: dict[str, Any]) -> tuple[str, str]:
    def lines(key: str) -> str:
        return "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in linux[key])

    return lines("uidMappings"), lines("gidMappings")


def _hooks(data: dict[str, Any]) -> dict[str, tuple[Hook, ...]]:
    return {kind: tuple(_hook(kind, hook) for hook in hooks) for kind, hooks in data.items()}


def _hook(kind: str, data: dict[str, Any]) -> Hook:
    args = tuple(data.get("args") or [data["path"]])
    return Hook(kind, data["path"], args, tuple(data.get("env", ())), data.get("timeout"))


def _environment(entries: list[str]) -> dict[bytes, bytes]:
    pairs = (entry.encode("utf-8", "surrogateescape").partition(b"=") for entry in entries)
    return {key: value for key, _, value in pairs}


def _credentials(
    process: dict[str, Any], seccomp: dict[str, Any] | None, compile_filter: Callable[[dict[str, Any]], bytes]
) -> Credentials:
    import resource

    user, sets = process.get("user", {}), process.get("capabilities", {})
    masks = {
        key: capabilities.mask(sets.get(key, ()))
        for key in ("bounding", "permitted", "effective", "inheritable", "ambient")
    }
    rlimits = []
    for limit in process.get("rlimits", []):
        soft, hard = (-1 if value >= 2**63 else value for value in (limit["soft"], limit["hard"]))
        rlimits.append((getattr(resource, limit["type"]), soft, hard))
    gid = user.get("gid", 0)
    return Credentials(
        uid=user.get("uid", 0),
        gid=gid,
        groups=tuple(user.get("additionalGids", ())),
        umask=user.get("umask", 0o022),
        no_new_privileges=bool(process.get("noNewPrivileges")),
        seccomp=compile_filter(seccomp) if seccomp else None,
        rlimits=tuple(rlimits),
        **masks,
    )
