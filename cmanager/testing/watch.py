"""The conformance suite of limiters whose host tells when a limit is reached (`cmanager.seams.Watch`)."""

from __future__ import annotations

import select

import pytest

from ..linux import cgroups
from ..linux.cgroupfs.alarm import Alarm
from ..model import Limits
from ..seams import Limiter, Watch
from .cgroups import OnCgroups, checked, most_forks


class WatchSuite(OnCgroups):
    """Every promise of `cmanager.seams.Watch`, checked."""

    ability = Watch

    def test_what_it_names_tells_of_a_limit_that_is_reached(self, provider: Watch, id: str) -> None:
        assert isinstance(provider, Limiter)
        assert provider.watched(id) == (), "there is nothing to hear of where there is no cgroup"
        path = provider.create(id, checked(provider, Limits(pids=4))).path
        files = provider.watched(id)
        alarm = Alarm(files)
        try:
            if alarm.fd < 0:
                pytest.skip("this kernel tells of nothing")
            assert not select.select([alarm.fd], [], [], 0)[0], "nothing has happened yet"
            most_forks(path, 8)
            told = bool(select.select([alarm.fd], [], [], 1)[0])
            first = [hierarchy.mountpoint for hierarchy in cgroups.hierarchies() if hierarchy.version == 1]
            if not told and any(file.path.startswith(f"{place}/") for file in files for place in first):
                pytest.skip("cgroup v1 of this kernel does not tell of processes: Linux 6.10 and later")
            assert told, "a fork was refused and nobody was told"
            assert (provider.usage(id).pids_limit_hits or 0) > 0, "usage must say what happened"
        finally:
            alarm.close()
