"""What is measured: a function for each job, in a file for each kind of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Literal

from attrs import evolve, frozen

from ..commands import Refused
from ..leaks import left, look
from ..measuring import Contestant, Rounds, interleave
from ..peers import Peer, Peers, check
from ..peers.ours import Cmanager
from ..place import Place
from ..results import Result, Row

#: Seconds in which servers make ready again what the last commands took from them.
_SETTLED = 1.0


@frozen
class Bench:
    """What a job works with. most: containers that it may have at once; stack: unwound when it has ended."""

    place: Place
    peers: Peers
    ours: Cmanager
    rounds: Rounds
    most: int
    stack: ExitStack

    def measure(self, contestants: Sequence[Contestant]) -> tuple[Row, ...]:
        """Rounds of this job, see `interleave`."""
        return interleave(contestants, self.rounds, self.peers.stamp)

    def variants(self) -> list[Peer]:
        """Everybody who runs containers as people start them: cmanager once, and its peers."""
        return [peer for peer in self.peers.there if peer is self.ours or not isinstance(peer, Cmanager)]


@frozen
class Job:
    """rounds: how many there are unless somebody says otherwise; run: returns rows, and what a reader must know too."""

    name: str
    about: str
    unit: str
    run: Callable[[Bench], tuple[tuple[Row, ...], tuple[str, ...]]]
    rounds: Rounds
    better: Literal["less", "more"] = "less"


def every() -> dict[str, Job]:
    """All of them by name, in the order in which they are run."""
    from . import api, fetching, growth, inside, memory, plugins, runs, stats

    jobs = (*runs.JOBS, *inside.JOBS, *api.JOBS, *memory.JOBS, *growth.JOBS, *fetching.JOBS, *stats.JOBS, *plugins.JOBS)
    return {job.name: job for job in jobs}


def perform(job: Job, place: Place, peers: Peers, rounds: int | None, most: int) -> Result:
    """Do it and see that nothing is left of it. Raises Refused."""
    for peer in peers.there:
        check(peer)  # what waits in pools, or runs on for a while, is there from here on
    versions = peers.versions()
    time.sleep(_SETTLED)
    before = look(place.above)
    chosen = evolve(job.rounds, count=rounds or job.rounds.count)
    with ExitStack() as stack:
        rows, notes = job.run(Bench(place, peers, peers.ours, chosen, most, stack))
    now = peers.versions()
    if now != versions:
        raise Refused(f"versions changed meanwhile: {versions} became {now}")
    if found := left(before, place.above):
        raise Refused(f"left behind: {found}")
    return Result(job.name, job.about, job.unit, job.better, rows, notes)
