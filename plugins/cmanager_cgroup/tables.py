"""What one limit is in the files of one version: a row of the tables in v1.py and v2.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from cmanager.linux.cgroupfs import files
from cmanager.linux.values import frozen
from cmanager.model import DeviceLimit, HugetlbLimit, Limits
from cmanager.model.limits import CPU_PERIOD

from .block import numbers

#: From a value of the field, or an entry of its list, and all limits to what is written; "" for nothing.
Text = Callable[[Any, Limits], str]


@frozen
class Row:
    """One limit.

    limit: the field of Limits; controller: which must be there; names: of files, the first that exists is written, with
    {size} for that of a huge page; text: what is written; document: where the kernel's documentation tells of it.
    """

    limit: str
    controller: str
    names: tuple[str, ...]
    text: Text
    document: str


def plain(value: Any, limits: Limits) -> str:
    """The value as it is."""
    return str(value)


def settled(limits: Limits) -> Limits:
    """The same limits with what follows from them: a quota from a number of CPUs, a bound for swap from memory's."""
    if limits.cpus is not None:
        limits = evolve(limits, cpus=None, cpu_period=CPU_PERIOD, cpu_quota=round(limits.cpus * CPU_PERIOD))
    if limits.memory is not None and limits.memory_swap is None:
        limits = evolve(limits, memory_swap=2 * limits.memory)
    return limits


def entries(limits: Limits, row: Row) -> tuple[Any, ...]:
    """The values of a row's limit: none, one, or those of its list."""
    value = getattr(limits, row.limit)
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def file_of(directory: str, row: Row, entry: Any) -> str:
    """The path of the file that is written for `entry` in this cgroup, "" when the kernel has none."""
    size = entry.size if isinstance(entry, HugetlbLimit) else ""
    paths = (f"{directory}/{name.format(size=size)}" for name in row.names)
    return next((path for path in paths if files.read_or(path, "\0") != "\0"), "")


def writes(
    directory: str, limits: Limits, rows: tuple[Row, ...], controllers: tuple[str, ...]
) -> list[tuple[str, str]]:
    """(file, value) in the table's order, for the limits that these controllers apply here."""
    found = []
    for row in rows:
        if row.controller not in controllers:
            continue
        for entry in entries(limits, row):
            text, file = row.text(entry, limits), file_of(directory, row, entry)
            if text and file:
                found.append((file, text))
    return found


def on_device(write: Callable[[int], str]) -> Text:
    """The text for an entry of a list by device: "MAJOR:MINOR VALUE"."""

    def text(entry: DeviceLimit, limits: Limits) -> str:
        return f"{numbers(entry.path)} {write(entry.value)}"

    return text
