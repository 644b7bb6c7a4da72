"""Faults of limiters that know more limits than all do, or hear of them, put into `cgroup`."""

from __future__ import annotations

from typing import Any

from attrs import evolve, fields

from cmanager.errors import NotFoundError
from cmanager.linux.cgroupfs import files
from cmanager.model import Cgroup, DeviceLimit, DeviceRule, Limits, Watched
from cmanager.testing import CoverSuite, Suite, WatchSuite
from cmanager_cgroup import check
from cmanager_cgroup.limiter import CgroupLimiter

from .limiter import PARENT, ignoring
from .mutant import Mutant, becoming

_THROTTLES = tuple(field.name for field in fields(Limits) if field.name.startswith("device_"))


class ForgetsSwap(CgroupLimiter):
    def create(self, id: str, limits: Limits) -> Cgroup:
        return super().create(id, evolve(limits, memory_swap=None))

    def update(self, id: str, limits: Limits) -> None:
        super().update(id, evolve(limits, memory_swap=None))


class KnowsAWordTooMany(CgroupLimiter):
    limits = (*CgroupLimiter.limits, "speed")


class KnowsTooLittle(CgroupLimiter):
    limits = ("memory", "pids")


class TakesAnyNumber(CgroupLimiter):
    def check(self, limits: Limits) -> None:
        check.check(self._tree, limits)


class TakesAnythingForADisk(CgroupLimiter):
    def check(self, limits: Limits) -> None:
        super().check(evolve(limits, **dict.fromkeys(_THROTTLES, ())))


class TakesAnyScheduler(CgroupLimiter):
    def check(self, limits: Limits) -> None:
        super().check(evolve(limits, blkio_weight_device=()))


class RefusesEveryScheduler(CgroupLimiter):
    def check(self, limits: Limits) -> None:
        super().check(evolve(limits, blkio_weight_device=()))
        for entry in limits.blkio_weight_device:
            self._tree.need(f"a weight on {entry.path}, where none is honoured,", "none")


class LiftsNothing(CgroupLimiter):
    def update(self, id: str, limits: Limits) -> None:
        kept: dict[str, tuple[DeviceLimit, ...]] = {
            name: tuple(entry for entry in getattr(limits, name) if entry.value) for name in _THROTTLES
        }
        super().update(id, evolve(limits, **kept))


class ClosesTheListForAMoment(CgroupLimiter):
    def update(self, id: str, limits: Limits) -> None:
        if limits.devices:
            self._tree.set_devices(id, (DeviceRule(False),))
        super().update(id, limits)


class OpensTheListForAMoment(CgroupLimiter):
    def update(self, id: str, limits: Limits) -> None:
        if limits.devices:
            self._tree.set_devices(id, (DeviceRule(True),))
        super().update(id, limits)


class TakesNoDeviceAway(CgroupLimiter):
    def update(self, id: str, limits: Limits) -> None:
        super().update(id, evolve(limits, devices=limits.devices[1:]))


class UndoesNothing(CgroupLimiter):
    def update(self, id: str, limits: Limits) -> None:
        self.check(limits)
        if id not in self.owned():
            raise NotFoundError(f"container {id[:12]} has no cgroup")
        for file, value in self._writes(id, limits):
            files.write(file, value)
        self._tree.set_devices(id, limits.devices)


class OwnsWhereItIsUsual(CgroupLimiter):
    def owned(self) -> frozenset[str]:
        return frozenset(id for id in super().owned() if self._tree.path(id) == f"{PARENT}/{id}")


def leaves_the_parent(instance: Any) -> Any:
    """For `Mutant.spoil`."""
    tree = instance._tree
    tree._leave = lambda container, place: tree._places.drop(container)
    return instance


class NamesNothing(CgroupLimiter):
    def watched(self, id: str) -> tuple[Watched, ...]:
        return ()


class NamesTheGone(CgroupLimiter):
    def watched(self, id: str) -> tuple[Watched, ...]:
        return super().watched(id) or (Watched(f"/sys/fs/cgroup{self._tree.path(id)}/memory.events"),)


class HearsOfProcessesAlone(CgroupLimiter):
    def watched(self, id: str) -> tuple[Watched, ...]:
        return tuple(file for file in super().watched(id) if file.path.endswith("/pids.events"))


class NamesNoControl(CgroupLimiter):
    def watched(self, id: str) -> tuple[Watched, ...]:
        return tuple(Watched(file.path) for file in super().watched(id))


class HearsTheNeighbours(CgroupLimiter):
    def watched(self, id: str) -> tuple[Watched, ...]:
        own = super().watched(id)
        return own and tuple(file for each in sorted(self.owned()) for file in self._tree.watched(each))


class HearsOfEveryProcess(CgroupLimiter):
    def watched(self, id: str) -> tuple[Watched, ...]:
        own, unified = super().watched(id), self._tree.unified()
        assert unified, "what comes and goes is told by cgroup v2"
        return own and (*own, Watched(f"{unified.path(self._tree.path(id))}/cgroup.events"))


def _mutant(does: str, kind: Any, suite: type[Suite] = CoverSuite) -> Mutant:
    spoil = becoming(kind) if isinstance(kind, type) else kind
    return Mutant(does, suite, "cmanager_cgroup:cgroup", spoil, {"parent": PARENT})


MUTANTS = [
    _mutant("announces what is no limit", KnowsAWordTooMany),
    _mutant("announces less than all know", KnowsTooLittle),
    _mutant("forgets swap", ForgetsSwap),
    _mutant("ignores the quota", ignoring("cpu_quota")),
    _mutant("ignores the period", ignoring("cpu_period")),
    _mutant("ignores bytes that are written", ignoring("device_write_bps", ())),
    _mutant("ignores operations that read", ignoring("device_read_iops", ())),
    _mutant("ignores huge pages", ignoring("hugetlb", ())),
    _mutant("ignores the parent", ignoring("parent", "")),
    _mutant("leaves the parent", leaves_the_parent),
    _mutant("owns only what lies in the usual place", OwnsWhereItIsUsual),
    _mutant("takes any number", TakesAnyNumber),
    _mutant("takes anything for a disk", TakesAnythingForADisk),
    _mutant("takes a weight that no scheduler honours", TakesAnyScheduler),
    _mutant("takes no weight at all", RefusesEveryScheduler),
    _mutant("lifts no limit of a disk", LiftsNothing),
    _mutant("closes the list of devices for a moment", ClosesTheListForAMoment),
    _mutant("opens the list of devices for a moment", OpensTheListForAMoment),
    _mutant("takes no device away", TakesNoDeviceAway),
    _mutant("undoes nothing when a limit is refused", UndoesNothing),
    _mutant("names nothing", NamesNothing, WatchSuite),
    _mutant("names the gone", NamesTheGone, WatchSuite),
    _mutant("hears of processes alone", HearsOfProcessesAlone, WatchSuite),
    _mutant("names v1's files without their control", NamesNoControl, WatchSuite),
    _mutant("hears the neighbours", HearsTheNeighbours, WatchSuite),
    _mutant("hears of every process", HearsOfEveryProcess, WatchSuite),
]
