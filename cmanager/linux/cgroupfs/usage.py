"""What a cgroup used: which counter of `cmanager.model.Usage` is in which file, on v1 and v2.

The tables follow the kernel's documentation: admin-guide/cgroup-v1/{cpuacct,memory,pids,hugetlb,blkio-controller}.rst
and scheduler/sched-bwc.rst ("Statistics"); admin-guide/cgroup-v2.rst ("CPU", "Memory", "IO", "PID", "HugeTLB Interface
Files"); accounting/psi.rst ("Cgroup2 interface"). A file is read once, and only when something is wanted of it; what a
kernel does not have is left out, whatever its version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from ..cgroups import Hierarchy
from . import files
from .counters import BlockIO, HugePages, Pressure, Watched

#: Counter, file, key in a flat-keyed file or "" for the number alone, how much of it is one.
Row = tuple[str, str, str, int]

_NANO, _MICRO, _TICK = 10**9, 10**6, 100  # USER_HZ is 100 in what programs see
_V1: dict[str, tuple[Row, ...]] = {
    "cpuacct": (
        ("cpu_seconds", "cpuacct.usage", "", _NANO),
        ("cpu_user_seconds", "cpuacct.stat", "user", _TICK),
        ("cpu_system_seconds", "cpuacct.stat", "system", _TICK),
    ),
    "cpu": (
        ("cpu_periods", "cpu.stat", "nr_periods", 1),
        ("cpu_throttled_periods", "cpu.stat", "nr_throttled", 1),
        ("cpu_throttled_seconds", "cpu.stat", "throttled_time", _NANO),
    ),
    "memory": (
        ("memory_bytes", "memory.usage_in_bytes", "", 1),
        ("memory_peak_bytes", "memory.max_usage_in_bytes", "", 1),
        ("memory_limit_bytes", "memory.limit_in_bytes", "", 1),
        ("memory_limit_hits", "memory.failcnt", "", 1),
        ("memory_cache_bytes", "memory.stat", "total_cache", 1),
        ("memory_anonymous_bytes", "memory.stat", "total_rss", 1),
        ("memory_working_set_bytes", "memory.stat", "total_inactive_file", 1),
        ("swap_bytes", "memory.stat", "total_swap", 1),
        ("swap_limit_bytes", "memory.memsw.limit_in_bytes", "", 1),
        ("oom_kills", "memory.oom_control", "oom_kill", 1),
    ),
    "pids": (
        ("pids", "pids.current", "", 1),
        ("pids_peak", "pids.peak", "", 1),
        ("pids_limit", "pids.max", "", 1),
        ("pids_limit_hits", "pids.events", "max", 1),
    ),
}
#: Those under "" need no controller.
_V2: dict[str, tuple[Row, ...]] = {
    "": (
        ("cpu_seconds", "cpu.stat", "usage_usec", _MICRO),
        ("cpu_user_seconds", "cpu.stat", "user_usec", _MICRO),
        ("cpu_system_seconds", "cpu.stat", "system_usec", _MICRO),
    ),
    "cpu": (
        ("cpu_periods", "cpu.stat", "nr_periods", 1),
        ("cpu_throttled_periods", "cpu.stat", "nr_throttled", 1),
        ("cpu_throttled_seconds", "cpu.stat", "throttled_usec", _MICRO),
    ),
    "memory": (
        ("memory_bytes", "memory.current", "", 1),
        ("memory_peak_bytes", "memory.peak", "", 1),
        ("memory_limit_bytes", "memory.max", "", 1),
        ("memory_limit_hits", "memory.events", "max", 1),
        ("memory_high_hits", "memory.events", "high", 1),
        ("memory_ooms", "memory.events", "oom", 1),
        ("memory_cache_bytes", "memory.stat", "file", 1),
        ("memory_anonymous_bytes", "memory.stat", "anon", 1),
        ("memory_working_set_bytes", "memory.stat", "inactive_file", 1),
        ("swap_bytes", "memory.swap.current", "", 1),
        ("swap_peak_bytes", "memory.swap.peak", "", 1),
        ("swap_limit_bytes", "memory.swap.max", "", 1),
        ("oom_kills", "memory.events", "oom_kill", 1),
    ),
    "pids": _V1["pids"],
}
_PRESSURE = {kind: f"{kind}.pressure" for kind in ("cpu", "memory", "io")}
#: v1 keeps two counts of the same: one for devices that have a rule (or, before Linux 6.10, for all), one where bfq
#: is the scheduler.
_BLKIO = ("throttle.io_service{}_recursive", "bfq.io_service{}_recursive")
_UNLIMITED = 1 << 62  # of v1, where no limit is a very large one

Read = Callable[[str], str]


def counters(hierarchies: Iterable[Hierarchy], path: str) -> dict[str, Any]:
    """The counters of the cgroup `path`, by the names of `cmanager.model.Usage`; none when it is gone.

    Costs one read of some two dozen files, 10 to 20 microseconds each.
    """
    found: dict[str, Any] = {}
    for hierarchy in _in_turn(hierarchies):
        directory = hierarchy.path(path)
        read = _once(directory)
        _numbers(_rows(hierarchy), read, found)
        (_more_of_v1 if hierarchy.version == 1 else _more_of_v2)(hierarchy, directory, read, found)
    return found


def cpu_seconds(hierarchies: Iterable[Hierarchy], path: str) -> float | None:
    """The counter of that name alone; None when the cgroup is gone, or nothing counts it. Costs a read."""
    found: dict[str, Any] = {}
    for hierarchy in _in_turn(hierarchies):
        rows = [row for row in _rows(hierarchy) if row[0] == "cpu_seconds"]
        _numbers(rows, _once(hierarchy.path(path)), found)
    return found.get("cpu_seconds")


def watched(hierarchies: Iterable[Hierarchy], path: str) -> tuple[Watched, ...]:
    """The files of a cgroup that tell of a limit that was reached, as far as this kernel has them.

    Changes of memory.events (v2) and pids.events (both) are told by poll(2), an out-of-memory of v1 to an eventfd.
    """
    wanted = []
    for hierarchy in hierarchies:
        directory = hierarchy.path(path)
        if "memory" in hierarchy.controllers and hierarchy.version == 1:
            wanted.append(Watched(f"{directory}/memory.oom_control", f"{directory}/cgroup.event_control"))
        elif "memory" in hierarchy.controllers:
            wanted.append(Watched(f"{directory}/memory.events"))
        if "pids" in hierarchy.controllers:
            wanted.append(Watched(f"{directory}/pids.events"))
    return tuple(file for file in wanted if os.path.exists(file.path))


def _in_turn(hierarchies: Iterable[Hierarchy]) -> list[Hierarchy]:
    """v1 first: beside it a process need not be in the cgroup of v2, whose files would say that nothing was used."""
    return sorted(hierarchies, key=lambda hierarchy: hierarchy.version)


def _rows(hierarchy: Hierarchy) -> list[Row]:
    table = _V1 if hierarchy.version == 1 else _V2
    return [row for controller in ("", *hierarchy.controllers) for row in table.get(controller, ())]


def _once(directory: str) -> Read:
    """Reads each of its files once, "" where there is none."""
    known: dict[str, str] = {}

    def read(name: str) -> str:
        if name not in known:
            known[name] = files.read_or(f"{directory}/{name}", "")
        return known[name]

    return read


def _numbers(rows: Iterable[Row], read: Read, found: dict[str, Any]) -> None:
    flat: dict[str, dict[str, int]] = {}
    for counter, file, key, unit in rows:
        if counter in found:
            continue
        text = read(file)
        if key:
            flat[file] = flat.get(file) or files.flat(text)
            value = flat[file].get(key)
        else:
            value = -1 if text == "max" else files.number(text)
        if value is not None:
            found[counter] = value if unit == 1 else value / unit
    _working_set(rows, found)


def _working_set(rows: Iterable[Row], found: dict[str, Any]) -> None:
    """What docker shows as used: all but the page cache that can be dropped at once."""
    name = "memory_working_set_bytes"
    if any(row[0] == name for row in rows) and name in found:
        droppable = found.pop(name)
        if "memory_bytes" in found:
            found[name] = max(0, found["memory_bytes"] - droppable)


def _more_of_v1(hierarchy: Hierarchy, directory: str, read: Read, found: dict[str, Any]) -> None:
    if "memory" in hierarchy.controllers:
        memory, both = found.get("memory_limit_bytes"), found.pop("swap_limit_bytes", None)
        if both is not None and memory is not None:
            # v1 limits memory and swap together.
            found["swap_limit_bytes"] = -1 if both > _UNLIMITED else both - memory
        if memory is not None and memory > _UNLIMITED:
            found["memory_limit_bytes"] = -1
    if "blkio" in hierarchy.controllers and os.path.isdir(directory):
        blocks = _blkio(read)
        if blocks or _counts_blocks(hierarchy.mountpoint):
            found["block_io"] = blocks
    if "hugetlb" in hierarchy.controllers:
        _huge_pages(directory, ("usage_in_bytes", "max_usage_in_bytes", "limit_in_bytes", "failcnt"), read, found)


def _more_of_v2(hierarchy: Hierarchy, directory: str, read: Read, found: dict[str, Any]) -> None:
    for kind, file in _PRESSURE.items():
        if text := read(file):
            found[f"{kind}_pressure"] = _pressure(text)
    if "io" in hierarchy.controllers and os.path.exists(f"{directory}/io.stat"):
        found["block_io"] = _io_stat(read("io.stat"))
    if "hugetlb" in hierarchy.controllers:
        _huge_pages(directory, ("current", "", "max", "events"), read, found)


def _io_stat(text: str) -> tuple[BlockIO, ...]:
    """Lines such as "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0"; one without numbers counts nothing."""
    found = []
    for line in text.splitlines():
        device, *words = line.split()
        values = {key: int(value) for key, _, value in (word.partition("=") for word in words) if value.isdigit()}
        numbers = [values.get(key, 0) for key in ("rbytes", "wbytes", "rios", "wios")]
        if any(numbers):
            found.append(BlockIO(device, _name(device), *numbers))
    return tuple(found)


def _blkio(read: Read) -> tuple[BlockIO, ...]:
    """Lines such as "8:0 Read 4096"; of each number the larger, where both have counted."""
    devices: dict[str, list[int]] = {}
    for pattern in _BLKIO:
        for at, kind in enumerate(("_bytes", "d")):
            for line in read(f"blkio.{pattern.format(kind)}").splitlines():
                words = line.split()
                if len(words) == 3 and words[1] in ("Read", "Write"):
                    numbers = devices.setdefault(words[0], [0, 0, 0, 0])
                    place = 2 * at + (words[1] == "Write")
                    numbers[place] = max(numbers[place], int(words[2]))
    return tuple(BlockIO(device, _name(device), *numbers) for device, numbers in devices.items() if any(numbers))


def _counts_blocks(mountpoint: str) -> bool:
    """Whether v1 counts anything on this host: since Linux 6.10 only for a device with a rule or bfq."""
    names = (f"{mountpoint}/blkio.{pattern.format('_bytes')}" for pattern in _BLKIO)
    return any(":" in files.read_or(name, "") for name in names)


def _name(device: str) -> str:
    try:
        return os.path.basename(os.readlink(f"/sys/dev/block/{device}"))
    except OSError:
        return ""


def _pressure(text: str) -> Pressure:
    """Lines such as "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        kind, *words = line.split()
        values = dict(word.split("=", 1) for word in words)
        found[f"{kind}_percent"] = float(values["avg10"])
        found[f"{kind}_seconds"] = int(values["total"]) / _MICRO
    return Pressure(**found)


def _huge_pages(directory: str, names: tuple[str, str, str, str], read: Read, found: dict[str, Any]) -> None:
    try:
        entries = sorted(os.listdir(directory))
    except OSError:
        return
    matches = (re.fullmatch(rf"hugetlb\.([^.]+)\.{names[0]}", entry) for entry in entries)
    pages = []
    for size in (match[1] for match in matches if match):
        used, peak, limit, hits = (read(f"hugetlb.{size}.{name}") if name else "" for name in names)
        bound = -1 if limit == "max" else files.number(limit)
        pages.append(
            HugePages(
                size,
                files.number(used),
                files.number(peak),
                -1 if bound is not None and bound > _UNLIMITED else bound,
                files.flat(hits).get("max") if names[3] == "events" else files.number(hits),
            )
        )
    if pages:
        found["hugetlb"] = tuple(pages)
