"""What many containers cost each other: starts, ps and inspect as they become more."""

from __future__ import annotations

from collections.abc import Sequence

from ..commands import seconds
from ..measuring import Contestant, Rounds, compare
from ..peers import BRIDGE, NONE, Keeper
from ..results import Row
from . import Bench, Job

#: Where one stops and looks; so many starts before that are its samples.
_STAGES, _SAMPLES = (10, 100, 500), 10


def _growth(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    keepers = [peer for peer in bench.variants() if isinstance(peer, Keeper)]
    for keeper in keepers:
        bench.stack.callback(_remove_all, keeper, bench.most)
    stages = sorted({stage for stage in _STAGES if stage < bench.most} | {bench.most})
    rows: list[Row] = []
    before, there = bench.peers.stamp(), 0
    for stage in stages:
        rows += _start(keepers, there, stage, stages[0])
        compare(before, bench.peers.stamp())
        there = stage
        rows += bench.measure([contestant for keeper in keepers for contestant in _looks(keeper, stage, stages[0])])
    order = sorted(rows, key=lambda row: [row.name.startswith(keeper.name) for keeper in keepers], reverse=True)
    return tuple(order), ("bare runc has no network",)


def _start(keepers: Sequence[Keeper], there: int, stage: int, first: int) -> list[Row]:
    """The next ones of everybody in turns. A row for each: the samples are those around the last."""
    samples: dict[str, list[float]] = {keeper.name: [] for keeper in keepers}
    for number in range(there, stage):
        for keeper in keepers:
            network = BRIDGE if BRIDGE in keeper.networks else NONE
            samples[keeper.name].append(seconds(keeper.start(network, _name(number))) * 1000)
    rows = []
    for name, figures in samples.items():
        against = f"{name}, start of the {first}th"
        rows.append(Row(f"{name}, start of the {stage}th", tuple(figures[-_SAMPLES:]), against))
    return rows


def _looks(keeper: Keeper, stage: int, first: int) -> list[Contestant]:
    def listing() -> float:
        return seconds(keeper.listing(stage)) * 1000

    def inspect() -> float:
        return seconds(keeper.inspect(_name(stage // 2))) * 1000

    named = {"ps": listing, "inspect": inspect}
    return [
        Contestant(f"{keeper.name}, {verb} of {stage}", act, f"{keeper.name}, {verb} of {first}")
        for verb, act in named.items()
    ]


def _remove_all(keeper: Keeper, most: int) -> None:
    keeper.remove([_name(number) for number in range(most)])


def _name(number: int) -> str:
    return f"bench-{number}"


JOBS = (Job("growth", "from ten containers to many, each to itself with few", "ms", _growth, Rounds(10)),)
