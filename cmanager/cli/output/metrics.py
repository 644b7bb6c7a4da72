"""What containers use as Prometheus metrics, named and labelled as cAdvisor's (its docs/storage/prometheus.md)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...linux import cgroups
from ...model import Container, Usage
from .stats import Sample, sampled

if TYPE_CHECKING:
    from ...engine import Engine

#: Values of one container: (labels beyond those that every metric has, value).
Values = Iterable[tuple[tuple[str, ...], Any]]


def _plain(name: str) -> Callable[[Usage], Values]:
    return lambda usage: [((), getattr(usage, name))]


def _links(name: str) -> Callable[[Usage], Values]:
    return lambda usage: [((link.interface,), getattr(link, name)) for link in usage.network or ()]


def _blocks(name: str) -> Callable[[Usage], Values]:
    return lambda usage: [
        ((f"/dev/{block.name}" if block.name else block.device,), getattr(block, name))
        for block in usage.block_io or ()
    ]


def _pages(name: str) -> Callable[[Usage], Values]:
    return lambda usage: [((pages.size,), getattr(pages, name)) for pages in usage.hugetlb or ()]


def _pressure(kind: str, name: str) -> Callable[[Usage], Values]:
    return lambda usage: [((), getattr(getattr(usage, f"{kind}_pressure"), name, None))]


def _limit(name: str) -> Callable[[Usage], Values]:
    """cAdvisor's 0 is no limit."""

    def values(usage: Usage) -> Values:
        limit = getattr(usage, name)
        return [((), 0 if limit == -1 else limit)]

    return values


#: Name, help, whether it is a counter, further labels, values. A counter's name ends in _total, which the library adds.
_METRICS: tuple[tuple[str, str, bool, tuple[str, ...], Callable[[Usage], Values]], ...] = (
    (
        "cpu_usage_seconds",
        "CPU time used",
        True,
        ("cpu",),
        lambda usage: [(("total",), usage.cpu_seconds)],
    ),
    ("cpu_user_seconds", "CPU time in user mode", True, (), _plain("cpu_user_seconds")),
    ("cpu_system_seconds", "CPU time in the kernel", True, (), _plain("cpu_system_seconds")),
    ("cpu_cfs_periods", "periods in which the CPU quota held", True, (), _plain("cpu_periods")),
    ("cpu_cfs_throttled_periods", "those in which it was used up", True, (), _plain("cpu_throttled_periods")),
    ("cpu_cfs_throttled_seconds", "time waited for the next period", True, (), _plain("cpu_throttled_seconds")),
    ("memory_usage_bytes", "memory, page cache included", False, (), _plain("memory_bytes")),
    (
        "memory_working_set_bytes",
        "memory that cannot be dropped at once",
        False,
        (),
        _plain("memory_working_set_bytes"),
    ),
    ("memory_max_usage_bytes", "the most memory so far", False, (), _plain("memory_peak_bytes")),
    ("memory_cache", "page cache", False, (), _plain("memory_cache_bytes")),
    ("memory_rss", "memory that is in no file", False, (), _plain("memory_anonymous_bytes")),
    ("memory_swap", "bytes swapped out", False, (), _plain("swap_bytes")),
    ("memory_failcnt", "how often the memory limit was reached", True, (), _plain("memory_limit_hits")),
    ("oom_events", "processes killed for memory", True, (), _plain("oom_kills")),
    ("spec_memory_limit_bytes", "memory limit, 0 for none", False, (), _limit("memory_limit_bytes")),
    ("spec_memory_swap_limit_bytes", "swap limit, 0 for none", False, (), _limit("swap_limit_bytes")),
    ("threads", "processes and threads", False, (), _plain("pids")),
    ("threads_max", "the most there may be, 0 for no limit", False, (), _limit("pids_limit")),
    ("fs_reads_bytes", "bytes read from block devices", True, ("device",), _blocks("read_bytes")),
    ("fs_writes_bytes", "bytes written to block devices", True, ("device",), _blocks("written_bytes")),
    ("fs_reads", "read operations on block devices", True, ("device",), _blocks("reads")),
    ("fs_writes", "write operations on block devices", True, ("device",), _blocks("writes")),
    ("network_receive_bytes", "bytes received", True, ("interface",), _links("received_bytes")),
    ("network_receive_packets", "packets received", True, ("interface",), _links("received_packets")),
    ("network_receive_errors", "errors while receiving", True, ("interface",), _links("received_errors")),
    ("network_receive_packets_dropped", "packets dropped on receipt", True, ("interface",), _links("received_dropped")),
    ("network_transmit_bytes", "bytes sent", True, ("interface",), _links("sent_bytes")),
    ("network_transmit_packets", "packets sent", True, ("interface",), _links("sent_packets")),
    ("network_transmit_errors", "errors while sending", True, ("interface",), _links("sent_errors")),
    ("network_transmit_packets_dropped", "packets dropped unsent", True, ("interface",), _links("sent_dropped")),
    ("hugetlb_usage_bytes", "huge pages in use", False, ("pagesize",), _pages("bytes")),
    ("hugetlb_max_usage_bytes", "the most of them so far", False, ("pagesize",), _pages("peak_bytes")),
    ("hugetlb_failcnt", "how often their limit was reached", True, ("pagesize",), _pages("limit_hits")),
    ("pressure_cpu_waiting_seconds", "time some task waited for CPU", True, (), _pressure("cpu", "some_seconds")),
    ("pressure_cpu_stalled_seconds", "time all tasks did", True, (), _pressure("cpu", "full_seconds")),
    ("pressure_memory_waiting_seconds", "time some waited for memory", True, (), _pressure("memory", "some_seconds")),
    ("pressure_memory_stalled_seconds", "time all tasks did", True, (), _pressure("memory", "full_seconds")),
    ("pressure_io_waiting_seconds", "time some task waited for I/O", True, (), _pressure("io", "some_seconds")),
    ("pressure_io_stalled_seconds", "time all tasks did", True, (), _pressure("io", "full_seconds")),
)
#: cAdvisor's names of these have no _total, counters though they are: the library would add it.
_BARE = ("memory_failcnt", "hugetlb_failcnt")


class Containers(Collector):
    """All containers of an engine that run, looked at anew each time. warn: told of one that cannot be looked at."""

    def __init__(self, engine: Engine, warn: Callable[[str], None]) -> None:
        self._engine, self._warn = engine, warn

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the containers."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """One family for each metric that somebody has a value for."""
        running = [container for container in self._engine.list() if container.status.runs]
        samples = sampled(self._engine, running, time.monotonic, self._warn)
        words = _label_names(container for container in running)
        names = ("id", "name", "image", *words.values())
        common = {sample.container.id: _label_values(sample.container, words) for sample in samples}
        for name, text, counter, more, values in _METRICS:
            found = [
                ((*common[sample.container.id], *labels), value)
                for sample in samples
                for labels, value in values(sample.usage)
                if value is not None
            ]
            if found:
                yield _family(name, text, counter, (*names, *more), found)
        if samples:
            yield from _of_the_core(samples, names, common)


def _of_the_core(samples: list[Sample], names: tuple[str, ...], common: dict[str, tuple[str, ...]]) -> Iterator[Metric]:
    """What no limiter counts."""
    hierarchies, now = cgroups.hierarchies(), time.time()
    counts: dict[str, tuple[str, Callable[[Container], float]]] = {
        "last_seen": ("when it was looked at", lambda container: now),
        "start_time_seconds": ("when it was started", lambda container: container.status.started_at),
        "processes": ("processes", lambda container: len(cgroups.processes(container.status.cgroup, hierarchies))),
    }
    for name, (text, value) in counts.items():
        found = [(common[sample.container.id], value(sample.container)) for sample in samples]
        yield _family(name, text, False, names, found)


def _family(name: str, text: str, counter: bool, labels: tuple[str, ...], found: Values) -> Metric:
    name = f"container_{name}"
    counted = counter and not name.endswith(_BARE)
    family = (CounterMetricFamily if counted else GaugeMetricFamily)(name, text, labels=labels)
    for values, value in found:
        family.add_metric(values, value)
    return family


def _label_names(containers: Iterable[Container]) -> dict[str, str]:
    """Every label that some container has, with its name as a metric's label; of two that become the same the first
    in their order is shown."""
    found: dict[str, str] = {}
    for label in sorted({label for container in containers for label in container.request.labels}):
        name = "container_label_" + re.sub(r"[^a-zA-Z0-9_]", "_", label)
        if name not in found.values():
            found[label] = name
    return found


def _label_values(container: Container, words: dict[str, str]) -> tuple[str, ...]:
    """A label that it does not have is empty, which to Prometheus is the same as none."""
    labels = container.request.labels
    about = (container.status.cgroup, container.name, container.request.image)
    return (*about, *(labels.get(label, "") for label in words))
