"""Faults of limiters that count, put into `cgroup`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

from attrs import evolve

from cmanager.linux import cgroups
from cmanager.model import Usage
from cmanager.testing import LimiterSuite
from cmanager_cgroup.limiter import CgroupLimiter

from .limiter import PARENT
from .mutant import Mutant, becoming


def counting(change: Callable[[Usage], dict[str, Any]]) -> type:
    """A limiter that tells some counters otherwise."""

    class Counts(CgroupLimiter):
        def usage(self, id: str) -> Usage:
            said = super().usage(id)
            return said if said == Usage() else evolve(said, **change(said))

    return Counts


class CountsTheLiving(CgroupLimiter):
    def usage(self, id: str) -> Usage:
        ticks = 0
        for pid in cgroups.processes(self._tree.path(id)):
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        said = super().usage(id)
        return said if said == Usage() else evolve(said, cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"))


class BeginsAnew(CgroupLimiter):
    last = 0.0

    def usage(self, id: str) -> Usage:
        said = super().usage(id)
        if said.cpu_seconds is None:
            return said
        before, self.last = self.last, said.cpu_seconds
        return evolve(said, cpu_seconds=said.cpu_seconds - before)


class AsksAProgram(CgroupLimiter):
    def usage(self, id: str) -> Usage:
        subprocess.run(["true"], check=True)
        return super().usage(id)


def _swapped(said: Usage) -> dict[str, Any]:
    blocks = said.block_io or ()
    turned = (evolve(each, read_bytes=each.written_bytes, written_bytes=each.read_bytes) for each in blocks)
    return {"block_io": tuple(turned)}


def _mutant(does: str, kind: type) -> Mutant:
    return Mutant(does, LimiterSuite, "cmanager_cgroup:cgroup", becoming(kind), {"parent": PARENT})


MUTANTS = [
    _mutant(
        "counts page cache as the working set", counting(lambda said: {"memory_working_set_bytes": said.memory_bytes})
    ),
    _mutant("tells what is used now as the most", counting(lambda said: {"memory_peak_bytes": said.memory_bytes})),
    _mutant("counts the time of who still lives", CountsTheLiving),
    _mutant("begins to count anew at each look", BeginsAnew),
    _mutant(
        "tells all time as the kernel's",
        counting(lambda said: {"cpu_user_seconds": 0.0, "cpu_system_seconds": said.cpu_seconds}),
    ),
    _mutant(
        "tells milliseconds for seconds",
        counting(lambda said: {"cpu_throttled_seconds": (said.cpu_throttled_seconds or 0) * 1000}),
    ),
    _mutant("forgets who had to wait", counting(lambda said: {"cpu_throttled_periods": 0})),
    _mutant("tells of no disk", counting(lambda said: {"block_io": ()})),
    _mutant("takes what is written for what is read", counting(_swapped)),
    _mutant("counts no fork that was refused", counting(lambda said: {"pids_limit_hits": 0})),
    _mutant("tells no limit as a large one", counting(lambda said: {"memory_limit_bytes": 2**63 - 4096})),
    _mutant("counts what is the manager's to count", counting(lambda said: {"network": ()})),
    _mutant("asks another program at each look", AsksAProgram),
]
