"""The LXC configuration (lxc.container.conf(5)) of a plan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from cmanager.errors import UnsupportedError

from .place import Place
from .plan import INSIDE, Plan

#: The words of /proc/PID/ns, which are LXC's too.
FILES = {"mount": "mnt", "network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup"}


def text(plan: Plan, place: Place) -> str:
    """The whole of it. Raises UnsupportedError for what cannot be written in LXC's words."""
    process = plan.config["process"]
    who = plan.who
    lines = [
        *_common(process),
        ("lxc.rootfs.path", f"dir:{place.root}"),
        ("lxc.rootfs.mount", place.target),
        *_namespaces(plan, place),
        *(("lxc.mount.entry", entry) for entry in entries(plan, place)),
        ("lxc.init.uid", str(who.uid)),
        ("lxc.init.gid", str(who.gid)),
        ("lxc.init.cwd", who.cwd),
        *(_limit(limit) for limit in process.get("rlimits", ())),
        *(("lxc.environment", entry) for entry in process.get("env", ())),
    ]
    if who.groups:
        lines.append(("lxc.init.groups", ",".join(map(str, who.groups))))
    if "capabilities" in process:
        kept = process["capabilities"].get("bounding", ())
        lines.append(("lxc.cap.keep", " ".join(name.removeprefix("CAP_").lower() for name in kept) or "none"))
    if plan.config.get("linux", {}).get("seccomp"):
        lines.append(("lxc.seccomp.profile", place.seccomp))
    if plan.config.get("hostname") and plan.namespaces.get("uts") == "":
        lines.append(("lxc.uts.name", plan.config["hostname"]))
    return _written(lines)


def attach_text(process: dict[str, Any]) -> str:
    """What lxc-attach needs to know; the rest it asks the container's lxc-execute."""
    return _written(_common(process))


def _common(process: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("lxc.autodev", "0"),
        ("lxc.tty.max", "0"),
        ("lxc.pty.max", "0"),
        ("lxc.console.path", "none"),
        ("lxc.apparmor.profile", "unconfined"),
        # Without it a filter is left out where cmanager itself runs under one.
        ("lxc.seccomp.allow_nesting", "1"),
        ("lxc.no_new_privs", str(int(bool(process.get("noNewPrivileges"))))),
    ]


def _written(lines: list[tuple[str, str]]) -> str:
    for key, value in lines:
        if "\n" in value:
            raise UnsupportedError(f"runtime lxc cannot honour a line break in {key} {value[:100]!r}")
    # Quotation marks around a value are taken off, and what is inside stays as it is.
    return "".join(f'{key} = "{value}"\n' for key, value in lines)


def _namespaces(plan: Plan, place: Place) -> Iterator[tuple[str, str]]:
    pinned = {space.kind for space in plan.spaces if not space.path}
    made = []
    for kind, path in plan.namespaces.items():
        if kind in pinned:
            path = f"{place.stage}/{FILES[kind]}"
        if kind == "cgroup":
            continue  # lxc-execute is in it already: lxc joins none, and can mount nothing of cgroup v1 inside
        if path:
            yield f"lxc.namespace.share.{FILES[kind]}", path
        else:
            made.append(FILES[kind])
    yield "lxc.namespace.clone", " ".join(made)


def _limit(limit: dict[str, Any]) -> tuple[str, str]:
    soft, hard = ("unlimited" if value >= 2**63 else str(value) for value in (limit["soft"], limit["hard"]))
    return f"lxc.prlimit.{limit['type'].removeprefix('RLIMIT_').lower()}", f"{soft}:{hard}"


# Mounts


def is_inside(plan: Plan, path: str) -> bool:
    """Whether a path lies in what lxc mounts, so that it is not there beforehand."""
    return any(
        path == mount.target or path.startswith(f"{mount.target.rstrip('/')}/")
        for mount in plan.mounts
        if mount.type in INSIDE and not mount.is_bind
    )


def staged(plan: Plan, place: Place) -> dict[int, str]:
    """Where the mounts that lie in what lxc mounts are made, by their number; lxc binds them into place.

    So are cgroups: an entry of LXC's drops every option without "=", such as a controller.
    """
    found, seen = {}, []
    for number, mount in enumerate(plan.mounts):
        if mount.type in INSIDE and not mount.is_bind:
            seen.append(mount.target.rstrip("/") + "/")
        elif mount.target.startswith(tuple(seen)) or (mount.type == "cgroup" and not mount.is_bind):
            found[number] = f"{place.stage}/mount{number}"
    return found


def entries(plan: Plan, place: Place) -> Iterator[str]:
    """Lines of fstab(5), in order."""
    apart = staged(plan, place)
    for number, mount in enumerate(plan.mounts):
        if number in apart:
            kind = "dir" if not mount.is_bind or os.path.isdir(mount.source) else "file"
            yield _entry(apart[number], mount.target, "none", ("rbind", f"create={kind}"))
        elif mount.type in INSIDE and not mount.is_bind:
            yield _entry(mount.source or mount.type, mount.target, mount.type, mount.options)
    for path in plan.readonly:
        if is_inside(plan, path) and os.path.exists(path):
            yield _entry(path.lstrip("/"), path, "none", ("rbind", "ro", "relative"))
    for path in plan.masked:
        # The kernel is the same, so what there is of it here there is inside.
        if is_inside(plan, path) and os.path.isdir(path):
            yield _entry("tmpfs", path, "tmpfs", ("ro", "size=4k", "nr_inodes=2", "mode=0755"))
        elif is_inside(plan, path) and os.path.exists(path):
            yield _entry(f"{place.stage}/null", path, "none", ("bind",))


def _entry(source: str, target: str, kind: str, options: tuple[str, ...]) -> str:
    words = (source, target.lstrip("/"), kind, ",".join(options) or "defaults")
    return " ".join((*map(_escaped, words), "0", "0"))


def _escaped(word: str) -> str:
    """As getmntent(3) reads it."""
    for character in ("\\", " ", "\t", "\n"):
        word = word.replace(character, f"\\{ord(character):03o}")
    return word
