"""Faults of limiters, put into `cgroup`."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from attrs import evolve

from cmanager.errors import CmanagerError, NotFoundError
from cmanager.linux import cgroups
from cmanager.model import Cgroup, Limits, Usage
from cmanager.testing import LimiterSuite
from cmanager_cgroup.limiter import CgroupLimiter

from .mutant import Mutant, becoming

PARENT = "/cmanager-mutants"


def ignoring(field: str, value: Any = None) -> type:
    """A limiter whose create ignores one limit."""

    class Ignores(CgroupLimiter):
        def create(self, id: str, limits: Limits) -> Cgroup:
            return super().create(id, evolve(limits, **{field: value}))

    return Ignores


class NeverUpdates(CgroupLimiter):
    def update(self, id: str, limits: Limits) -> None:
        super().update(id, Limits())


class UpdatesTooMuch(CgroupLimiter):
    def update(self, id: str, limits: Limits) -> None:
        super().update(id, evolve(limits, pids=limits.pids or -1))


class AnotherPath(CgroupLimiter):
    def create(self, id: str, limits: Limits) -> Cgroup:
        super().create(id, limits)
        return Cgroup(f"/{id}")


class KeepsWhatWasThere(CgroupLimiter):
    def create(self, id: str, limits: Limits) -> Cgroup:
        if id in self.owned():
            return Cgroup(self._tree.path(id))
        return super().create(id, limits)


class LeavesItAfterAFailure(CgroupLimiter):
    def create(self, id: str, limits: Limits) -> Cgroup:
        try:
            return super().create(id, limits)
        except CmanagerError:
            super().create(id, Limits())
            raise


class RemovesOnce(CgroupLimiter):
    def remove(self, id: str) -> None:
        if id not in self.owned():
            raise NotFoundError(f"container {id[:12]} has no cgroup")
        super().remove(id)


class RemovesTheEmpty(CgroupLimiter):
    def remove(self, id: str) -> None:
        for hierarchy in self._tree.hierarchies:
            with suppress(OSError):
                os.rmdir(hierarchy.path(self._tree.path(id)))


class FreezesNothing(CgroupLimiter):
    def freeze(self, id: str, frozen: bool) -> None:
        if id not in self.owned():
            super().freeze(id, frozen)


class KillsTheFirst(CgroupLimiter):
    def kill(self, id: str) -> None:
        try:
            with open(f"{self._tree.hierarchies[0].path(self._tree.path(id))}/cgroup.procs") as file:
                first = file.readline()
        except FileNotFoundError:
            return
        if first:
            os.kill(int(first), signal.SIGKILL)
            self.freeze(id, False)


class OwnsNothing(CgroupLimiter):
    def owned(self) -> frozenset[str]:
        return frozenset()


class MissesTheGone(CgroupLimiter):
    def usage(self, id: str) -> Usage:
        if id not in self.owned():
            raise NotFoundError(f"container {id[:12]} has no cgroup")
        return super().usage(id)


class CountsTheHost(CgroupLimiter):
    def usage(self, id: str) -> Usage:
        return evolve(super().usage(id), pids=len(os.listdir("/proc")))


class ChecksNothing(CgroupLimiter):
    def check(self, limits: Limits) -> None:
        return


class KeepsDescriptor(CgroupLimiter):
    def create(self, id: str, limits: Limits) -> Cgroup:
        made = super().create(id, limits)
        os.open(cgroups.hierarchies()[0].path(made.path), os.O_RDONLY)
        return made


class LetsErrorsEscape(CgroupLimiter):
    def freeze(self, id: str, frozen: bool) -> None:
        os.stat(self._tree.hierarchies[0].path(self._tree.path(id)))
        super().freeze(id, frozen)


def _mutant(does: str, kind: type, *, everyday: bool = False) -> Mutant:
    options = {"parent": PARENT}
    return Mutant(does, LimiterSuite, "cmanager_cgroup:cgroup", becoming(kind), options, everyday=everyday)


MUTANTS = [
    _mutant("ignores the limit on processes", ignoring("pids"), everyday=True),
    _mutant("ignores the limit on memory", ignoring("memory")),
    _mutant("ignores the limit on processor time", ignoring("cpus")),
    _mutant("ignores shares of the processor", ignoring("cpu_shares")),
    _mutant("ignores which processors", ignoring("cpuset_cpus")),
    _mutant("ignores which devices", ignoring("devices", ())),
    _mutant("changes no limit", NeverUpdates),
    _mutant("changes limits that it was not asked for", UpdatesTooMuch),
    _mutant("names another cgroup than it made", AnotherPath),
    _mutant("keeps the cgroup of an earlier run", KeepsWhatWasThere),
    _mutant("leaves a cgroup after a failure", LeavesItAfterAFailure),
    _mutant("raises when it removes what is gone", RemovesOnce),
    _mutant("removes nothing where something runs", RemovesTheEmpty),
    _mutant("freezes nothing", FreezesNothing),
    _mutant("kills the first process alone", KillsTheFirst),
    _mutant("owns nothing", OwnsNothing),
    _mutant("raises for the usage of what is gone", MissesTheGone),
    _mutant("counts the processes of the host", CountsTheHost),
    _mutant("checks nothing", ChecksNothing),
    _mutant("keeps a descriptor of each container", KeepsDescriptor),
    _mutant("lets an OSError escape from freeze", LetsErrorsEscape),
]
