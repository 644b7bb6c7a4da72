"""What this host can apply of what is asked, by controller, by file and by I/O scheduler."""

from __future__ import annotations

from cmanager.errors import InvalidError, UnsupportedError
from cmanager.linux.cgroupfs import files
from cmanager.linux.cgroupfs.tree import Tree
from cmanager.model import Limits
from cmanager.model.limits import flag, processors

from . import block, tables, v1, v2

_TABLES = {1: v1.TABLE, 2: v2.TABLE}
#: By the name of v1, where v2 has another.
_RENAMED = {"blkio": "io"}


def check(tree: Tree, limits: Limits) -> None:
    """Raise UnsupportedError, naming controller, file or scheduler, or InvalidError, for what cannot be applied."""
    if limits.devices:
        tree.need("device control", "devices")
    if limits.parent:
        tree.check_parent(limits.parent)
    for name, value in limits.given().items():
        if name in ("devices", "parent") or (name == "memory_swap" and value == -1 and limits.memory is None):
            continue
        _check_one(tree, limits, name)
    if limits.blkio_weight is not None:
        block.check_any_weighted(_costs(tree))
    for entry in limits.blkio_weight_device:
        block.check_weighted(entry.path, _costs(tree))


def warnings(tree: Tree, limits: Limits) -> tuple[str, ...]:
    """What is applied and yet does not bound all that a person may think."""
    found = []
    if limits.memory is not None and limits.memory_swap is None and _host_has_swap():
        hierarchy = tree.of("memory")
        swap = next(row for row in _rows(2 if hierarchy and hierarchy.version == 2 else 1, "memory_swap"))
        if hierarchy and not tables.file_of(tree.sample(hierarchy, "memory"), swap, None):
            found.append("the kernel does not account for swap: the memory limit does not bound what is swapped out")
    if limits.blkio_weight is not None and (others := block.unweighted(_costs(tree))):
        found.append(f"--blkio-weight means nothing on {others}: no I/O scheduler there honours it")
    if limits.oom_kill_disable and limits.memory is None:
        found.append("--oom-kill-disable without --memory: the host may run out of memory and nothing is killed here")
    return tuple(found)


def _check_one(tree: Tree, limits: Limits, name: str) -> None:
    option, asked = flag(name), "cpu_quota" if name == "cpus" else name
    (controller,) = {row.controller for row in _rows(1, asked)}
    hierarchy = tree.of(controller) or tree.of(_RENAMED.get(controller, controller))
    if hierarchy is None:
        also = f" (v1) or {_RENAMED[controller]!r} (v2)" if controller in _RENAMED else ""
        raise UnsupportedError(f"{option} needs the cgroup controller {controller!r}{also}, which this host lacks")
    rows = _rows(hierarchy.version, asked)
    if not rows:
        (old,) = (row.names[0] for row in _rows(1, asked))
        raise UnsupportedError(f"{option} needs {old} of cgroup v1, the {controller} controller is on v2 here")
    sample = tree.sample(hierarchy, rows[0].controller)
    for entry in tables.entries(tables.settled(limits), rows[0]):
        # Of two ways to write it, the one that this disk takes.
        writing = [row for row in rows if row.text(entry, limits)] or rows
        if not any(tables.file_of(sample, row, entry) for row in writing):
            file = " or ".join(rows[0].names).format(size=getattr(entry, "size", ""))
            raise UnsupportedError(
                f"{option} needs {file} of the cgroup controller {controller!r}: this kernel has none"
            )
    if name == "cpuset_cpus" or name == "cpuset_mems":
        file = name.replace("_", ".") + (".effective" if hierarchy.version == 2 else "")
        _within(option, str(getattr(limits, name)), files.read(f"{hierarchy.mountpoint}/{file}"))


def _rows(version: int, name: str) -> tuple[tables.Row, ...]:
    return tuple(row for row in _TABLES[version] if row.limit == name)


def _within(option: str, wanted: str, available: str) -> None:
    """InvalidError for a list that names what is not to be had (cpuset(7))."""
    missing = sorted(processors(wanted, option) - processors(available, option))
    if missing:
        raise InvalidError(f"invalid {option} {wanted!r}: {missing[0]} is not there, available are {available}")


def _costs(tree: Tree) -> str:
    """io.cost.qos, which is at the top of cgroup v2 alone."""
    hierarchy = tree.of("io")
    return files.read_or(f"{hierarchy.mountpoint}/io.cost.qos", "") if hierarchy else ""


def _host_has_swap() -> bool:
    with open("/proc/swaps", encoding="ascii", errors="replace") as file:
        return len(file.readlines()) > 1
