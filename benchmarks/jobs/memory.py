"""What an idle container costs in memory beside its own program."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import partial

from ..commands import Refused, run
from ..leaks import below, daemons, trees
from ..measuring import Contestant, Rounds
from ..peers import BRIDGE, NONE, Keeper
from ..results import Row
from . import Bench, Job

#: Containers of everybody, and seconds in which those who start them settle.
_COUNT, _SETTLED = 20, 3.0


def _memory(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """What is there after a start and was not before, but for what is inside; what was there before in rows apart."""
    servers = daemons(bench.place.above)
    everybody = set().union(*servers.values())
    contestants = []
    for keeper in [peer for peer in bench.variants() if isinstance(peer, Keeper)]:
        names = [f"bench-{number}" for number in range(_COUNT)]
        bench.stack.callback(keeper.remove, names)
        before = set(below(bench.place.above))
        for name in names:
            run(keeper.start(BRIDGE if BRIDGE in keeper.networks else NONE, name))
        time.sleep(_SETTLED)
        new = set(below(bench.place.above)) - before - trees(everybody)
        new = {pid for pid in new if _is_outside(pid)}
        contestants.append(Contestant(keeper.name, partial(_kilobytes, new, _COUNT)))
    for whose, pids in servers.items():
        contestants.append(Contestant(f"daemons of {whose}, once for all", partial(_of_trees, pids)))
    return bench.measure(contestants), (f"proportional set size of all its processes, a mean of {_COUNT} containers",)


def _is_outside(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
    except OSError:
        return False  # it has ended


def _of_trees(pids: Iterable[int]) -> float:
    return _kilobytes(trees(pids), 1)


def _kilobytes(pids: Iterable[int], shared_by: int) -> float:
    return sum(map(_pss, pids)) / shared_by


def _pss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        raise Refused(f"process {pid}, whose memory is to be measured, has ended") from None


JOBS = (Job("memory", "memory of an idle container", "kB", _memory, Rounds(5)),)
