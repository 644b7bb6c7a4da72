"""Where the cgroup hierarchies of this host are, and how a process joins a cgroup (cgroups(7))."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..errors import HostError
from . import inroot, mounts, syscalls
from .mounts import Mount
from .values import frozen


@frozen
class Hierarchy:
    """One mounted cgroup hierarchy.

    version: 1 or 2; mountpoint: str; controllers: tuple of names, for v1 as mounted ("name=systemd" included), for v2
    those in cgroup.controllers of its root.
    """

    version: int
    mountpoint: str
    controllers: tuple[str, ...]

    @property
    def kind(self) -> frozenset[str]:
        """What tells it from other hierarchies: its controllers on v1, none on v2."""
        return frozenset(self.controllers if self.version == 1 else ())

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
        return memberships(pid).get(frozenset(), "")
    except OSError:
        return ""


def memberships(pid: int | str) -> dict[frozenset[str], str]:
    """The cgroups of a process ("self", "thread-self" or a number) by the kinds of their hierarchies.

    Raises OSError when it is gone.
    """
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        lines = (line.rstrip("\n").split(":", 2) for line in file)
        return {frozenset(filter(None, controllers.split(","))): path for _, controllers, path in lines}


def processes(cgroup: str, among: tuple[Hierarchy, ...] | None = None) -> tuple[int, ...]:
    """Pids in a cgroup, given like "/cmanager/ID", and in those below it; empty when it is gone.

    among: the hierarchies, found anew when None.
    """
    for hierarchy in hierarchies() if among is None else among:
        found: set[int] = set()
        for below, _, files in os.walk(hierarchy.path(cgroup)):
            if "cgroup.procs" in files:
                with open(f"{below}/cgroup.procs", encoding="ascii") as file:
                    found.update(map(int, file.read().split()))
        if found:
            return tuple(sorted(found))
    return ()


def join(directory: str, pid: int = 0) -> None:
    """Move a process (0: the caller, which has one thread) into the cgroup at `directory`; raises OSError.

    On v1 the caller does not wait: see `doors`. Anybody else is moved when every processor has taken notice, which
    takes some 10 milliseconds, unless somebody has waited for that just before (cgroup_threadgroup_rwsem).
    """
    fd = os.open(f"{directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) if pid else _door(directory)
    try:
        os.write(fd, b"%d" % pid)
    finally:
        os.close(fd)


def doors(cgroup: str, among: tuple[Hierarchy, ...]) -> tuple[int, ...]:
    """Descriptors by which a process that has one thread moves itself into a cgroup in every hierarchy of v1 that has
    it: `go_through`. The caller closes them. Raises HostError.

    For a thread that moves itself the kernel waits for nobody (cgroup_procs_write_start, since Linux 5.16). Whose
    descriptor it is, not who writes to it, decides whether that is allowed.
    """
    found: list[int] = []
    for hierarchy in among:
        directory = hierarchy.path(cgroup)
        if not cgroup or hierarchy.version != 1 or not os.path.isdir(directory):
            continue  # a limiter need not use every hierarchy
        try:
            found.append(_door(directory))
        except OSError as error:
            for fd in found:
                os.close(fd)
            raise HostError.of("join cgroup", directory, error) from None
    return tuple(found)


def go_through(doors: tuple[int, ...]) -> None:
    """Move the calling process, and close the doors. Raises OSError."""
    for fd in doors:
        os.write(fd, b"0")
        os.close(fd)


def _door(directory: str) -> int:
    """Only v1 has a file of threads for every cgroup."""
    try:
        return os.open(f"{directory}/tasks", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(f"{directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)


def open_unified(cgroup: str, among: tuple[Hierarchy, ...]) -> int:
    """The directory of a cgroup in the v2 hierarchy, in which a child can be born (`syscalls.clone`).

    Returns a descriptor, which the caller closes, or -1 where v2 has no such cgroup. Raises OSError.
    """
    for hierarchy in among:
        if cgroup and hierarchy.version == 2:
            with suppress(FileNotFoundError):  # a limiter need not use every hierarchy
                return os.open(hierarchy.path(cgroup), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return -1


def join_all(cgroup: str, pid: int = 0, among: tuple[Hierarchy, ...] | None = None) -> None:
    """Move a process (0: the caller, see `join`) into a cgroup in every hierarchy that has it; "" moves nothing.

    among: the hierarchies, found anew when None. Raises HostError when none has the cgroup, or one refuses.
    """
    if not cgroup:
        return
    found = hierarchies() if among is None else among
    joined = not found
    for hierarchy in found:
        directory = hierarchy.path(cgroup)
        try:
            join(directory, pid)
            joined = True
        except FileNotFoundError:
            continue  # a limiter need not use every hierarchy
        except OSError as error:
            raise HostError.of("join cgroup", directory, error) from None
    if not joined:
        raise HostError("join cgroup", cgroup, errno.ENOENT)


@contextmanager
def hastened() -> Iterator[None]:
    """Begin, in a child that moves itself to where it is, what others who are moved in here would wait for: `join`."""
    first = next((hierarchy for hierarchy in hierarchies() if hierarchy.version == 1), None)
    if first is None:
        yield
        return
    own = memberships("thread-self").get(first.kind, "/")
    # Spawned, not forked: it costs the same however large the caller is, and whatever threads he has.
    script, quiet = 'echo 0 > "$1"', [(os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)]
    words = ["sh", "-c", script, "sh", f"{first.path(own)}/cgroup.procs"]
    child = 0
    with suppress(OSError):  # no such shell, or no room for it: then it takes as long as it takes
        child = os.posix_spawn("/bin/sh", words, {}, file_actions=quiet)
    try:
        yield
    finally:
        if child:
            with suppress(ChildProcessError):  # where SIGCHLD is ignored nobody is waited for
                os.waitpid(child, 0)


def mount_all(root: int, mount: Mount, among: tuple[Hierarchy, ...], *, own_namespace: bool) -> None:
    """A mount of type "cgroup" under `root`: every hierarchy at the place the host has it. Raises OSError.

    own_namespace: whether the caller is in the container's cgroup namespace, from which they are seen then.
    """
    if len(among) == 1 and among[0].version == 2:
        _mount_unified(root, among[0], mount.target, mount.options, own_namespace)
        return
    if not among:
        return
    plain = tuple(option for option in mount.options if option != "ro")
    mounts.make(Mount("tmpfs", "tmpfs", mount.target, (*plain, "mode=755", "size=65536")), root)
    top = inroot.open_in(root, mount.target, os.O_PATH | os.O_DIRECTORY)
    for hierarchy in among:
        name = os.path.basename(hierarchy.mountpoint)
        if hierarchy.version == 2:
            _mount_unified(top, hierarchy, name, mount.options, own_namespace)
            continue
        mounts.make(Mount("cgroup", "cgroup", name, (*mount.options, *hierarchy.controllers)), top)
        if "," in name:
            for controller in hierarchy.controllers:
                os.symlink(name, controller, dir_fd=top)
    if "ro" in mount.options:
        syscalls.mount_setattr(top, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
    os.close(top)


def _mount_unified(root: int, hierarchy: Hierarchy, target: str, options: tuple[str, ...], own_namespace: bool) -> None:
    if own_namespace:
        mounts.make(Mount("cgroup2", "cgroup", target, options), root)
    else:
        # A new mount made in the host's cgroup namespace resets nsdelegate and the like for the whole host.
        mounts.make(Mount("bind", hierarchy.mountpoint, target, ("bind", *options)), root)
