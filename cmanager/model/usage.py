"""What was used."""

from __future__ import annotations

from ..linux.cgroupfs.counters import BlockIO, HugePages, Pressure, Watched
from ..linux.traffic import Traffic
from ..linux.values import frozen

__all__ = ["BlockIO", "HugePages", "Pressure", "Traffic", "Usage", "Watched"]


@frozen
class Usage:
    """What a container used since it started; a counter the host does not offer is None. A limit of -1 is none.

    cpu_seconds: float, of which cpu_user_seconds and cpu_system_seconds; cpu_periods: int, those in which a quota held,
    cpu_throttled_periods: those in which it was used up; cpu_throttled_seconds: float, waited for the next.
    memory_bytes, memory_peak_bytes: int, with the page cache; memory_working_set_bytes: without what of it can be
    dropped at once, which docker shows; memory_cache_bytes: all of it; memory_anonymous_bytes: what is in no file;
    memory_limit_bytes; memory_limit_hits, memory_high_hits: how often the limit or the soft one was reached;
    memory_ooms: how often nothing could be reclaimed then; oom_kills: processes killed for it. swap_bytes,
    swap_peak_bytes, swap_limit_bytes: beside the memory. pids, pids_peak, pids_limit: processes and threads;
    pids_limit_hits: how often one more was refused. block_io: by device; hugetlb: by size; cpu_pressure,
    memory_pressure, io_pressure: waiting for it. network: by interface, which the manager counts: a limiter leaves it
    out.
    """

    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    oom_kills: int | None = None
    pids: int | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    cpu_periods: int | None = None
    cpu_throttled_periods: int | None = None
    cpu_throttled_seconds: float | None = None
    memory_working_set_bytes: int | None = None
    memory_cache_bytes: int | None = None
    memory_anonymous_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_limit_hits: int | None = None
    memory_high_hits: int | None = None
    memory_ooms: int | None = None
    swap_bytes: int | None = None
    swap_peak_bytes: int | None = None
    swap_limit_bytes: int | None = None
    pids_peak: int | None = None
    pids_limit: int | None = None
    pids_limit_hits: int | None = None
    block_io: tuple[BlockIO, ...] | None = None
    hugetlb: tuple[HugePages, ...] | None = None
    cpu_pressure: Pressure | None = None
    memory_pressure: Pressure | None = None
    io_pressure: Pressure | None = None
    network: tuple[Traffic, ...] | None = None
