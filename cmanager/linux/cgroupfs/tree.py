"""One cgroup per container in every hierarchy: made, counted, frozen, killed and removed."""

from __future__ import annotations

import errno
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ...errors import CmanagerError, HostError, InvalidError, NotFoundError, UnsupportedError
from .. import cgroups
from ..cgroups import Hierarchy
from . import files, killing, usage, v1, v2
from .counters import Watched
from .places import Place, Places
from .rules import DeviceRule

_ID = re.compile(r"[0-9a-f]{64}")
_REMOVE_SECONDS = 10.0
_USUAL_ROOT = "/var/lib/cmanager"

#: What is to be written: (file, value), in this order.
Writes = Iterable[tuple[str, str]]


def parent_for(root: str, name: str = "") -> str:
    """The cgroup below which the containers of a manager have theirs, of one limiter where a name is given.

    root: the manager's durable root; each has a parent of its own, so that two managers on one host never meet.
    """
    own = "" if root == _USUAL_ROOT else f"{zlib.crc32(root.encode()):08x}"
    return "/" + "-".join(filter(None, ("cmanager", name, own)))


class Tree:
    """`PARENT/ID` in every mounted hierarchy; each controller is used where the host has it.

    parent: like "/cmanager"; it is made when missing and stays, empty, when the last container goes; places: directory
    that remembers which container lies below another parent, "" where none ever does. Every method raises
    HostError for what the kernel refuses, and InvalidError for an id that is none.
    """

    def __init__(self, parent: str, places: str = "") -> None:
        self.parent = parent
        self.hierarchies = cgroups.hierarchies()
        self._places = Places(places) if places else None

    def path(self, id: str) -> str:
        """The cgroup of a container, the same in every hierarchy: OCI's cgroupsPath."""
        if not _ID.fullmatch(id):
            raise InvalidError(f"not a container id: {id[:80]!r}")
        place = self._places.of(id) if self._places else None
        return f"{place.parent if place else self.parent}/{id}"

    def check_parent(self, parent: str) -> None:
        """Raise InvalidError, or UnsupportedError without `places`, for a cgroup below which no container may lie."""
        if not self._places:
            raise UnsupportedError("this limiter has one place for all containers, leave out --cgroup-parent")
        if not parent.strip("/") or not _ID.sub("", parent) == parent or ".." in parent.split("/"):
            raise InvalidError(
                f"invalid --cgroup-parent {parent!r}, expected a cgroup such as /web, and no container's"
            )

    def of(self, controller: str) -> Hierarchy | None:
        """The hierarchy that has a controller."""
        return next((h for h in self.hierarchies if controller in h.controllers), None)

    def unified(self) -> Hierarchy | None:
        """The hierarchy of cgroup v2."""
        return next((h for h in self.hierarchies if h.version == 2), None)

    def need(self, what: str, controller: str) -> Hierarchy:
        """The hierarchy that has the controller for `what`, UnsupportedError naming both where there is none.

        Devices need none on v2, where a program decides (`bpf`).
        """
        found = self.of(controller) or (self.unified() if controller == "devices" else None)
        if found is None:
            raise UnsupportedError(f"{what} needs the cgroup controller {controller!r}, which this host lacks")
        return found

    def create(self, id: str, apply: Callable[[], None], parent: str = "") -> str:
        """Make the cgroup and call `apply`, which writes its limits; returns its path.

        parent: below which it lies instead of the usual one; what is missing of it is made, and goes again with the
        last container in it. One of an earlier run is removed first. When `apply` raises, nothing is left.
        """
        if self._there(self.path(id)):
            self.remove(id)
        try:
            if parent:
                self._make_below(id, "/" + parent.strip("/"))
            else:
                for hierarchy in self.hierarchies:
                    self._make(hierarchy, self.parent, id)
            apply()
        except BaseException:
            with suppress(CmanagerError):
                self.remove(id)
            raise
        return self.path(id)

    def sample(self, hierarchy: Hierarchy, controller: str) -> str:
        """A directory that shows which files a container's cgroup has there: those at the top have others.

        The parent is made where there is no other cgroup to look at.
        """
        top = hierarchy.mountpoint
        for name in (self.parent.strip("/"), *sorted(os.listdir(top))):
            if os.path.isdir(f"{top}/{name}") and (
                hierarchy.version == 1 or controller in files.read_or(f"{top}/{name}/cgroup.controllers", "").split()
            ):
                return f"{top}/{name}"
        self._prepare(hierarchy, self.parent)
        return hierarchy.path(self.parent)

    def change(self, id: str, writes: Writes, devices: tuple[DeviceRule, ...] = ()) -> None:
        """Write to files of an existing cgroup, then its device rules; when that fails, what was written before gets
        its old values back, last first.

        Raises NotFoundError when there is no such cgroup.
        """
        if not self._there(self.path(id)):
            raise NotFoundError(f"container {id[:12]} has no cgroup, it does not run")
        done: list[tuple[str, str]] = []
        try:
            for file, value in writes:
                done.append((file, files.previous(file, value)))
                files.write(file, value)
            self.set_devices(id, devices)
        except CmanagerError:
            for file, value in reversed(done):
                with suppress(HostError):
                    files.write(file, value)
            raise

    def set_devices(self, id: str, rules: tuple[DeviceRule, ...]) -> None:
        """Let these rules decide which devices may be used; no rule changes nothing."""
        if not rules:
            return
        directory = self.need("device control", "devices").path(self.path(id))
        if self.of("devices"):
            v1.set_devices(directory, rules)
        else:
            from . import bpf

            bpf.set_devices(directory, rules)

    def usage(self, id: str) -> dict[str, Any]:
        """What the container used, by the names of `cmanager.model.Usage`; empty when its cgroup is gone."""
        return usage.counters(self.hierarchies, self.path(id))

    def cpu_seconds(self, id: str) -> float | None:
        """Of these its seconds of processor time alone; None when its cgroup is gone. One read."""
        return usage.cpu_seconds(self.hierarchies, self.path(id))

    def watched(self, id: str) -> tuple[Watched, ...]:
        """The files that tell of a limit it reached; none when its cgroup is gone. See `cmanager.seams.Watch`."""
        return usage.watched(self.hierarchies, self.path(id))

    def freeze(self, id: str, frozen: bool) -> None:
        """Stop all processes, or let them go on; returns when the kernel has. NotFoundError, UnsupportedError."""
        path = self.path(id)
        freezer = self.of("freezer")
        hierarchy = freezer or self.unified()
        if hierarchy is None:
            raise UnsupportedError("freezing needs cgroup v2 or the controller 'freezer', this host has neither")
        directory = hierarchy.path(path)
        if not os.path.exists(directory):
            raise NotFoundError(f"container {id[:12]} has no cgroup, it does not run")
        (v1 if freezer else v2).freeze(directory, frozen)

    def kill(self, id: str) -> None:
        """SIGKILL every process, frozen or forking; returns when they are told."""
        path = self.path(id)
        unified = self.unified()
        if unified and killing.kill_tree(unified.path(path)):
            # A frozen v1 cgroup dies only when it is thawed.
            with suppress(CmanagerError):
                self.freeze(id, False)
        for hierarchy in self.hierarchies:
            if hierarchy.version == 1 and os.path.isdir(hierarchy.path(path)):
                killing.kill_each(hierarchy.path(path), lambda frozen: self._try_freeze(id, frozen))
                break

    def remove(self, id: str) -> None:
        """Kill what is left, wait some seconds for it and remove the cgroup. Idempotent."""
        path = self.path(id)
        left = [hierarchy.path(path) for hierarchy in self.hierarchies]
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
        if self._places and (place := self._places.of(id)):
            self._leave(id, place)

    def owned(self) -> frozenset[str]:
        """Ids that have a cgroup in any hierarchy."""
        found: set[str] = set()
        for hierarchy in self.hierarchies:
            with suppress(FileNotFoundError):
                found.update(name for name in os.listdir(hierarchy.path(self.parent)) if _ID.fullmatch(name))
        return frozenset(found).union(self._places.all() if self._places else ())

    def _there(self, path: str) -> bool:
        return any(os.path.exists(hierarchy.path(path)) for hierarchy in self.hierarchies)

    def _prepare(self, hierarchy: Hierarchy, parent: str) -> None:
        """Make what is missing of `parent`, and each level of it fit to have children."""
        module = v2 if hierarchy.version == 2 else v1
        # What the parent hands down is looked at each time: another start may have made it just now, or died there.
        if module.is_prepared(hierarchy.path(parent), hierarchy.controllers):
            return
        above = hierarchy.mountpoint
        for name in parent.strip("/").split("/"):
            here = f"{above}/{name}"
            if not module.is_prepared(here, hierarchy.controllers):
                with suppress(FileExistsError):
                    files.mkdir(here)
                module.prepare_parent(above, here, hierarchy.controllers)
            above = here

    def _make(self, hierarchy: Hierarchy, parent: str, id: str) -> None:
        self._prepare(hierarchy, parent)
        above = hierarchy.path(parent)
        own = f"{above}/{id}"
        with suppress(FileExistsError):
            files.mkdir(own)
        if hierarchy.version == 1:
            v1.prepare(above, own, hierarchy.controllers)

    def _make_below(self, id: str, parent: str) -> None:
        self.check_parent(parent)
        assert self._places
        with _kept(), self._places.locked():
            inherited = {made for place in self._places.all().values() for made in place.made}
            parts = parent.strip("/").split("/")
            made = []
            for hierarchy in self.hierarchies:
                levels = ("/".join((hierarchy.mountpoint, *parts[: depth + 1])) for depth in range(len(parts)))
                made += [level for level in levels if level in inherited or not os.path.exists(level)]
            self._places.keep(id, Place(parent, tuple(made)))
            for hierarchy in self.hierarchies:
                self._make(hierarchy, parent, id)

    def _leave(self, id: str, place: Place) -> None:
        """Forget where its cgroup was, and remove what was made for it unless others are there."""
        assert self._places
        with _kept(), self._places.locked():
            for directory in reversed(place.made):
                with suppress(OSError):
                    os.rmdir(directory)
            self._places.drop(id)

    def _try_freeze(self, id: str, frozen: bool) -> None:
        with suppress(CmanagerError):
            self.freeze(id, frozen)


@contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError.of("keep the places of cgroups in", str(error.filename or ""), error) from None


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
