"""The conformance suite of limiters whose host tells when a limit is reached (`cmanager.seams.Watch`)."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from ..linux import cgroups
from ..linux.cgroupfs.alarm import Alarm
from ..model import Limits, Watched
from ..seams import Limiter, Watch
from .cgroups import OnCgroups, checked, most_forks, spawn, use

_SECONDS = 1.0  # in which the kernel tells


class WatchSuite(OnCgroups):
    """Every promise of `cmanager.seams.Watch`, checked beside what the kernel is documented to tell of itself."""

    ability = Watch

    def test_of_what_is_gone_it_names_nothing(self, provider: Watch, id: str) -> None:
        assert isinstance(provider, Limiter)
        assert provider.watched(id) == (), "there is nothing to hear of where there is no cgroup"
        provider.create(id, Limits())
        provider.remove(id)
        assert provider.watched(id) == (), "nor where there is none any more"

    def test_a_fork_that_is_refused_is_told(self, provider: Watch, container: Callable[[], str]) -> None:
        """One that is not refused is not told, nor what happens in another container."""
        assert isinstance(provider, Limiter)
        one, two = container(), container()
        limits = checked(provider, Limits(pids=4))
        path, other = provider.create(one, limits).path, provider.create(two, limits).path
        with _listening(provider.watched(one)) as heard, _listening(_documented(path)) as documented:
            most_forks(path, 2)
            most_forks(other, 8)
            assert not _told(heard, 0.1), "its limit was not reached yet"
            most_forks(path, 8)
            if not _told(documented):
                pytest.skip("this kernel does not tell of processes: cgroup v1 does not from Linux 6.10 on")
            assert _told(heard), "a fork was refused and nobody was told"
        assert (provider.usage(one).pids_limit_hits or 0) > 0, "usage must say what happened"

    def test_memory_that_ran_out_is_told(self, provider: Watch, container: Callable[[], str]) -> None:
        assert isinstance(provider, Limiter)
        one, two = container(), container()
        limits = checked(provider, Limits(memory=32 << 20))
        path, other = provider.create(one, limits).path, provider.create(two, limits).path
        with _listening(provider.watched(one)) as heard, _listening(_documented(path)) as documented:
            os.waitpid(spawn(path, lambda: use(8 << 20)), 0)
            os.waitpid(spawn(other, lambda: use(128 << 20)), 0)
            assert not _told(heard, 0.1), "there is memory left"
            os.waitpid(spawn(path, lambda: use(128 << 20)), 0)
            if not _told(documented):
                pytest.skip("this kernel does not tell of memory")
            assert _told(heard), "memory ran out and nobody was told"
        assert (provider.usage(one).oom_kills or 0) > 0, "usage must say what happened"


@contextmanager
def _listening(files: Iterable[Watched]) -> Iterator[Alarm]:
    alarm = Alarm(files)
    try:
        yield alarm
    finally:
        alarm.close()


def _told(alarm: Alarm, seconds: float = _SECONDS) -> bool:
    """Whether something comes, or has come."""
    return alarm.fd >= 0 and bool(select.select([alarm.fd], [], [], seconds)[0])


def _documented(path: str) -> tuple[Watched, ...]:
    """What tells of a cgroup by cgroup-v1/memory.rst (section 9), cgroup-v1/pids.rst and cgroup-v2.rst."""
    found = []
    for hierarchy in cgroups.hierarchies():
        directory = hierarchy.path(path)
        found += [Watched(f"{directory}/{name}") for name in ("pids.events", "memory.events")]
        found.append(Watched(f"{directory}/memory.oom_control", f"{directory}/cgroup.event_control"))
    return tuple(file for file in found if os.path.exists(file.path))
