"""Controllers of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

import errno
import os
import select
import time
from contextlib import suppress

from ...errors import HostError, UnsupportedError
from . import files

_WANTED = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
_FREEZE_SECONDS = 10.0
_ASIDE = "-aside"
_MOVES = 10


def is_prepared(parent: str, controllers: tuple[str, ...]) -> bool:
    """Whether the cgroup `parent` is there and hands its controllers to its children."""
    handed = files.read_or(f"{parent}/cgroup.subtree_control", "").split()
    return os.path.isdir(parent) and all(name in handed for name in _WANTED if name in controllers)


def prepare_parent(root: str, parent: str, controllers: tuple[str, ...]) -> None:
    """Hand the controllers down to the new cgroup `parent`, which lies in `root`, and to its children.

    Raises UnsupportedError where somebody else's processes are in either.
    """
    wanted = " ".join(f"+{name}" for name in _WANTED if name in controllers)
    if not wanted:
        return
    try:
        _hand_down(root, wanted)
    except HostError as error:
        # Only the root of all may have both processes and controllers in use; a container's own cgroup may not.
        if error.errno != errno.EBUSY or not _is_namespaced(root):
            raise
        _step_aside(root, f"{parent}{_ASIDE}", wanted)
    try:
        files.write(f"{parent}/cgroup.subtree_control", wanted)
    except HostError as error:
        if error.errno != errno.EBUSY:
            raise
        raise UnsupportedError(
            f"cgroup {parent} has processes, so it cannot hand controllers to containers: give one without as parent"
        ) from None


def _hand_down(root: str, wanted: str) -> None:
    if not set(wanted.replace("+", "").split()) <= set(files.read(f"{root}/cgroup.subtree_control").split()):
        files.write(f"{root}/cgroup.subtree_control", wanted)


def _is_namespaced(root: str) -> bool:
    return os.path.exists(f"{root}/cgroup.type")


def _step_aside(root: str, leaf: str, wanted: str) -> None:
    """Move the processes of a container's own cgroup into a child of it, and those born meanwhile too.

    Whoever removes the container's cgroup removes the child with it.
    """
    with suppress(FileExistsError):
        files.mkdir(leaf)
    for _ in range(_MOVES):
        for pid in files.read(f"{root}/cgroup.procs").split():
            with suppress(HostError):  # it ended, or is none of this pid namespace (0)
                files.write(f"{leaf}/cgroup.procs", pid)
        with suppress(HostError):
            files.write(f"{root}/cgroup.subtree_control", wanted)
            return
    raise UnsupportedError(
        f"cgroup {root} has processes that cannot be moved, so it cannot hand controllers to containers: "
        "give the container that cmanager runs in a pid namespace of its own"
    )


def freeze(directory: str, frozen: bool) -> None:
    """Freeze or thaw, and wait until the kernel says so in cgroup.events."""
    files.write(f"{directory}/cgroup.freeze", "1" if frozen else "0")
    path = f"{directory}/cgroup.events"
    deadline = time.monotonic() + _FREEZE_SECONDS
    with open(path, encoding="ascii") as events:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while files.flat(events.read()).get("frozen") != int(frozen):
            if time.monotonic() > deadline:
                files.write(f"{directory}/cgroup.freeze", "0")
                raise HostError(f"reach frozen {int(frozen)} in", path, 110)
            poller.poll(100)
            events.seek(0)
