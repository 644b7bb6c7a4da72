"""The limiter seam on cgroupfs."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import Any

from cmanager.errors import CmanagerError, HostError, NotFoundError, UnsupportedError
from cmanager.linux import cgroups
from cmanager.linux.cgroups import Hierarchy
from cmanager.model import Cgroup, Limits, Usage
from cmanager.model.names import ID

from . import check, files, processes, v1, v2

_REMOVE_SECONDS = 10.0


class CgroupLimiter:
    """`PARENT/ID` in every mounted hierarchy; each controller is used where the host has it.

    parent: like "/cmanager"; it is made when missing and stays, empty, when the last container goes.
    """

    def __init__(self, parent: str) -> None:
        self._parent = parent
        self._hierarchies = cgroups.hierarchies()

    def check(self, limits: Limits) -> None:
        """See `cmanager.seams.Limiter.check`."""
        check.ranges(limits)
        for what, controller in check.controllers(limits).items():
            hierarchy = self._of(controller)
            if hierarchy is None and not (controller == "devices" and self._unified()):
                raise UnsupportedError(f"{what} needs the cgroup controller {controller!r}, which this host lacks")
        if limits.cpuset_cpus is not None:
            hierarchy = self._of("cpuset")
            assert hierarchy is not None, "just looked at"
            name = "cpuset.cpus.effective" if hierarchy.version == 2 else "cpuset.cpus"
            check.within(limits.cpuset_cpus, files.read(f"{hierarchy.mountpoint}/{name}"))

    def create(self, id: str, limits: Limits) -> Cgroup:
        """See `cmanager.seams.Limiter.create`."""
        path = self._path(id)
        if any(os.path.exists(hierarchy.path(path)) for hierarchy in self._hierarchies):
            self.remove(id)
        try:
            for hierarchy in self._hierarchies:
                self._make(hierarchy, path)
            self._apply(path, limits)
        except BaseException:
            with suppress(CmanagerError):
                self.remove(id)
            raise
        return Cgroup(path, self._warnings(limits))

    def update(self, id: str, limits: Limits) -> None:
        """See `cmanager.seams.Limiter.update`."""
        self.check(limits)
        path = self._path(id)
        if not any(os.path.exists(hierarchy.path(path)) for hierarchy in self._hierarchies):
            raise NotFoundError(f"container {id[:12]} has no cgroup, it does not run")
        before = self._writes(path, limits)
        old = {file: files.read(file) for file, _ in before}
        try:
            self._apply(path, limits)
        except HostError:
            for file, value in old.items():
                with suppress(HostError):
                    files.write(file, value)
            raise

    def usage(self, id: str) -> Usage:
        """See `cmanager.seams.Limiter.usage`."""
        path = self._path(id)
        counters: dict[str, Any] = {}
        for hierarchy in self._hierarchies:
            module = v2 if hierarchy.version == 2 else v1
            counters |= module.usage(hierarchy.path(path), hierarchy.controllers)
        return Usage(**counters)

    def freeze(self, id: str, frozen: bool) -> None:
        """See `cmanager.seams.Limiter.freeze`."""
        path = self._path(id)
        freezer = self._of("freezer")
        hierarchy = freezer or self._unified()
        if hierarchy is None:
            raise UnsupportedError("freezing needs cgroup v2 or the controller 'freezer', this host has neither")
        directory = hierarchy.path(path)
        if not os.path.exists(directory):
            raise NotFoundError(f"container {id[:12]} has no cgroup, it does not run")
        (v1 if freezer else v2).freeze(directory, frozen)

    def kill(self, id: str) -> None:
        """See `cmanager.seams.Limiter.kill`."""
        path = self._path(id)
        unified = self._unified()
        if unified and processes.kill_tree(unified.path(path)):
            # A frozen v1 cgroup dies only when it is thawed.
            with suppress(CmanagerError):
                self.freeze(id, False)
        for hierarchy in self._hierarchies:
            if hierarchy.version == 1 and os.path.isdir(hierarchy.path(path)):
                processes.kill_each(hierarchy.path(path), lambda frozen: self._try_freeze(id, frozen))
                break

    def remove(self, id: str) -> None:
        """See `cmanager.seams.Limiter.remove`."""
        path = self._path(id)
        left = [hierarchy.path(path) for hierarchy in self._hierarchies]
        left = [directory for directory in left if not _removed(directory)]
        deadline = time.monotonic() + _REMOVE_SECONDS
        pause = 0.001
        if left:
            self.kill(id)
        while left and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 2, 0.1)
            left = [directory for directory in left if not _removed(directory)]
            if left and pause >= 0.1:
                self.kill(id)
        if left:
            raise HostError("remove cgroup", left[0], errno.EBUSY)

    def owned(self) -> frozenset[str]:
        """See `cmanager.seams.Limiter.owned`."""
        found: set[str] = set()
        for hierarchy in self._hierarchies:
            with suppress(FileNotFoundError):
                found.update(name for name in os.listdir(hierarchy.path(self._parent)) if ID.fullmatch(name))
        return frozenset(found)

    def _path(self, id: str) -> str:
        if not ID.fullmatch(id):
            raise UnsupportedError(f"not a container id: {id[:80]!r}")
        return f"{self._parent}/{id}"

    def _of(self, controller: str) -> Hierarchy | None:
        return next((h for h in self._hierarchies if controller in h.controllers), None)

    def _unified(self) -> Hierarchy | None:
        return next((h for h in self._hierarchies if h.version == 2), None)

    def _make(self, hierarchy: Hierarchy, path: str) -> None:
        module = v2 if hierarchy.version == 2 else v1
        parent, own = hierarchy.path(self._parent), hierarchy.path(path)
        # What the parent hands down is looked at each time: another start may have made it just now, or died there.
        if not module.is_prepared(parent, hierarchy.controllers):
            with suppress(FileExistsError):
                files.mkdir(parent)
            module.prepare_parent(hierarchy.mountpoint, parent, hierarchy.controllers)
        with suppress(FileExistsError):
            files.mkdir(own)
        if hierarchy.version == 1:
            v1.prepare(parent, own, hierarchy.controllers)

    def _apply(self, path: str, limits: Limits) -> None:
        for file, value in self._writes(path, limits):
            files.write(file, value)
        if limits.devices:
            devices = self._of("devices")
            if devices:
                v1.set_devices(devices.path(path), limits.devices)
            elif unified := self._unified():
                from . import bpf

                bpf.set_devices(unified.path(path), limits.devices)

    def _writes(self, path: str, limits: Limits) -> list[tuple[str, str]]:
        """(file, value) for every limit that is given, in the order in which they must be written."""
        found: list[tuple[str, str]] = []
        for hierarchy in self._hierarchies:
            module = v2 if hierarchy.version == 2 else v1
            found += module.writes(hierarchy.path(path), limits, hierarchy.controllers)
        return found

    def _warnings(self, limits: Limits) -> tuple[str, ...]:
        memory = self._of("memory")
        if limits.memory is None or memory is None:
            return ()
        swap = "memory.swap.max" if memory.version == 2 else "memory.memsw.limit_in_bytes"
        if os.path.exists(f"{memory.path(self._parent)}/{swap}") or not _host_has_swap():
            return ()
        return ("the kernel does not account for swap: the memory limit does not bound what is swapped out",)

    def _try_freeze(self, id: str, frozen: bool) -> None:
        with suppress(CmanagerError):
            self.freeze(id, frozen)


def _removed(directory: str) -> bool:
    """Remove a cgroup and those the container made in it; True when it is gone."""
    try:
        os.rmdir(directory)
        return True
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise HostError.of("remove cgroup", directory, error) from None
    for below, names, _ in os.walk(directory, topdown=False):
        for name in names:
            with suppress(OSError):
                os.rmdir(f"{below}/{name}")
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _host_has_swap() -> bool:
    with open("/proc/swaps", encoding="ascii", errors="replace") as file:
        return len(file.readlines()) > 1
