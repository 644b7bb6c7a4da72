"""What containers use, as rows in Docker's words and as typed items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, fields

from ...linux.values import frozen
from ...model import Container, Usage
from ...model.codec import to_data
from .human import binary_size, size
from .rows import state_word

if TYPE_CHECKING:
    from ...engine import Engine

COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
HEADERS = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
GROUP_COLUMNS = ("Label", "Containers", *COLUMNS[2:])
GROUP_HEADERS = {"Label": "LABEL", "Containers": "CONTAINERS", **{name: HEADERS[name] for name in COLUMNS[2:]}}
_UNKNOWN = "--"


@frozen
class Sample:
    """One look at a container. at: seconds of the monotonic clock; network: those with the same number share one."""

    container: Container
    at: float
    usage: Usage = field(factory=Usage)
    network: int = 0


@frozen
class Totals:
    """What is shown of a container, or of several together; None where nothing is known. limit: bytes, the host's
    memory where there is none."""

    cpu_percent: float | None = None
    memory: int | None = None
    limit: int | None = None
    received: int | None = None
    sent: int | None = None
    read: int | None = None
    written: int | None = None
    pids: int | None = None

    @property
    def memory_percent(self) -> float | None:
        """Of the limit."""
        return None if self.memory is None or not self.limit else 100 * self.memory / self.limit


def sampled(engine: Engine, containers: Iterable[Container], now: Any, warn: Any) -> list[Sample]:
    """One look at each that runs. now: the clock; warn: told of one that cannot be looked at."""
    from ...engine.counting import network_of
    from ...errors import CmanagerError

    found = []
    for container in containers:
        usage = Usage()
        if container.status.runs:
            try:
                usage = engine.usage(container)
            except CmanagerError as error:
                warn(f"{container.name}: {error}")
        found.append(Sample(container, now(), usage, network_of(container) if usage.network else 0))
    return found


def again(engine: Engine, samples: Iterable[Sample], now: Any) -> list[Sample]:
    """The same looks with the processor time of now, for as little as their limiter can tell it."""
    from ...errors import CmanagerError

    found = []
    for sample in samples:
        usage = sample.usage
        if usage.cpu_seconds is not None:
            try:
                usage = evolve(usage, cpu_seconds=engine.cpu_seconds(sample.container))
            except CmanagerError:  # it was told when it was looked at
                usage = evolve(usage, cpu_seconds=None)
        found.append(evolve(sample, at=now(), usage=usage))
    return found


def totals(before: Sample | None, sample: Sample, host_memory: int) -> Totals:
    """What one look, and the one before, say of a container."""
    usage, used = sample.usage, None
    limit = usage.memory_limit_bytes
    if before and usage.cpu_seconds is not None and before.usage.cpu_seconds is not None and sample.at > before.at:
        # It may have been started again in between: then it has used less.
        used = max(0.0, usage.cpu_seconds - before.usage.cpu_seconds) / (sample.at - before.at) * 100
    memory = usage.memory_bytes if usage.memory_working_set_bytes is None else usage.memory_working_set_bytes
    return Totals(
        cpu_percent=used,
        memory=memory,
        limit=None if memory is None else host_memory if limit in (None, -1) else min(limit or 0, host_memory),
        received=sum(link.received_bytes for link in usage.network) if usage.network is not None else None,
        sent=sum(link.sent_bytes for link in usage.network) if usage.network is not None else None,
        read=sum(block.read_bytes for block in usage.block_io) if usage.block_io is not None else None,
        written=sum(block.written_bytes for block in usage.block_io) if usage.block_io is not None else None,
        pids=usage.pids,
    )


def together(samples: Sequence[Sample], each: Sequence[Totals], host_memory: int) -> Totals:
    """The sum of several; what went through a network namespace that some share counts once."""
    known: dict[str, list[Any]] = {counter.name: [] for counter in fields(Totals)}
    networks: set[int] = set()
    for sample, one in zip(samples, each, strict=True):
        again = sample.network in networks and sample.network != 0
        networks.add(sample.network)
        for name, values in known.items():
            value = getattr(one, name)
            if value is not None and not (again and name in ("received", "sent")):
                values.append(value)
    summed = {name: sum(values) if values else None for name, values in known.items()}
    if summed["limit"] is not None:
        summed["limit"] = min(summed["limit"], host_memory)
    return Totals(**summed)


def by_label(
    key: str, samples: Sequence[Sample], each: Sequence[Totals], host_memory: int
) -> list[tuple[str, list[Sample], Totals]]:
    """Each value of a label, in their order, with those that have it and their sum."""
    groups: dict[str, tuple[list[Sample], list[Totals]]] = {}
    for sample, one in zip(samples, each, strict=True):
        if key in sample.container.request.labels:
            of, found = groups.setdefault(sample.container.request.labels[key], ([], []))
            of.append(sample)
            found.append(one)
    return [(value, of, together(of, found, host_memory)) for value, (of, found) in sorted(groups.items())]


def row(sample: Sample, found: Totals, named: str, *, trunc: bool) -> dict[str, str]:
    """One line of `stats`. named: what the user called the container."""
    id = sample.container.id
    return {
        "Container": named,
        "ID": id[:12] if trunc else id,
        "Name": sample.container.name,
        **_numbers(found),
    }


def group_row(value: str, count: int, found: Totals) -> dict[str, str]:
    """One line of `stats --by-label`."""
    return {"Label": value, "Containers": str(count), **_numbers(found)}


def item(sample: Sample, found: Totals) -> dict[str, Any]:
    """An item of `cmanager.stats/1`. usage: every counter, null where the host does not offer it."""
    container = sample.container
    return {
        "id": container.id,
        "name": container.name,
        "image": container.request.image,
        "state": state_word(container),
        "labels": dict(container.request.labels),
        **_typed(found),
        "usage": to_data(sample.usage) if container.status.runs else None,
    }


def group_item(key: str, value: str, samples: Sequence[Sample], found: Totals) -> dict[str, Any]:
    """The same with `--by-label`."""
    return {"label": key, "value": value, "containers": [sample.container.name for sample in samples], **_typed(found)}


def host_memory() -> int:
    """Bytes of memory that this host has (proc_meminfo(5))."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(file.readline().split()[1]) * 1024


def _numbers(found: Totals) -> dict[str, str]:
    limit = _shown(found.limit, binary_size)
    return {
        "CPUPerc": _shown(found.cpu_percent, _percent),
        "MemUsage": f"{_shown(found.memory, binary_size)} / {limit}",
        "MemPerc": _shown(found.memory_percent, _percent),
        "NetIO": _pair(found.received, found.sent),
        "BlockIO": _pair(found.read, found.written),
        "PIDs": _shown(found.pids, str),
    }


def _typed(found: Totals) -> dict[str, Any]:
    return {
        "cpu_percent": found.cpu_percent,
        "memory_bytes": found.memory,
        "memory_limit_bytes": found.limit,
        "memory_percent": found.memory_percent,
        "network_received_bytes": found.received,
        "network_sent_bytes": found.sent,
        "block_read_bytes": found.read,
        "block_written_bytes": found.written,
        "pids": found.pids,
    }


def _shown(value: Any, show: Any) -> str:
    return _UNKNOWN if value is None else show(value)


def _pair(one: int | None, other: int | None) -> str:
    return _UNKNOWN if one is None or other is None else f"{size(one)} / {size(other)}"


def _percent(value: float) -> str:
    return f"{value:.2f}%"
