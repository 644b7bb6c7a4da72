"""Where the cgroup hierarchies of this host are, and how a process joins a cgroup (cgroups(7))."""

from __future__ import annotations

import os

from attrs import frozen


@frozen
class Hierarchy:
    """One mounted cgroup hierarchy.

    version: 1 or 2; mountpoint: str; controllers: tuple of names, for v1 as mounted ("name=systemd" included), for v2
    those in cgroup.controllers of its root.
    """

    version: int
    mountpoint: str
    controllers: tuple[str, ...]

    def path(self, cgroup: str) -> str:
        """The directory of a cgroup, given like "/cmanager/ID"."""
        return self.mountpoint + "/" + cgroup.strip("/")


def hierarchies(mountinfo: str = "/proc/self/mountinfo") -> tuple[Hierarchy, ...]:
    """All mounted hierarchies, v2 first; found by looking, so v1, v2 and hybrid need no setting."""
    found: dict[tuple[int, tuple[str, ...]], Hierarchy] = {}
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            kind, _, super_options = right.split(" ", 2)
            mountpoint = left.split(" ")[4]
            if kind == "cgroup2":
                with open(f"{mountpoint}/cgroup.controllers", encoding="ascii") as controllers:
                    names = tuple(controllers.read().split())
                found.setdefault((2, ()), Hierarchy(2, mountpoint, names))
            elif kind == "cgroup":
                flags = {"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode"}
                options = super_options.strip().split(",")
                names = tuple(o for o in options if o not in flags and not o.startswith("release_agent"))
                found.setdefault((1, names), Hierarchy(1, mountpoint, names))
    return tuple(sorted(found.values(), key=lambda hierarchy: -hierarchy.version))


def unified(pid: int) -> str:
    """The cgroup of a process in the v2 hierarchy, like "/cmanager/ID"; "" without one or when it is gone."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            return next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
    except OSError:
        return ""


def processes(cgroup: str) -> tuple[int, ...]:
    """Pids in a cgroup, given like "/cmanager/ID", and in those below it; empty when it is gone."""
    for hierarchy in hierarchies():
        found: set[int] = set()
        for below, _, files in os.walk(hierarchy.path(cgroup)):
            if "cgroup.procs" in files:
                with open(f"{below}/cgroup.procs", encoding="ascii") as file:
                    found.update(map(int, file.read().split()))
        if found:
            return tuple(sorted(found))
    return ()


def join(directory: str, pid: int = 0) -> None:
    """Move a process (0: the caller) into the cgroup at `directory`; raises OSError."""
    fd = os.open(f"{directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"%d" % pid)
    finally:
        os.close(fd)
