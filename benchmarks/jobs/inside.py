"""One more program in a container that runs."""

from __future__ import annotations

from functools import partial

from ..commands import run, seconds
from ..measuring import Contestant, Rounds
from ..peers import BRIDGE, NONE, TRUE, Keeper
from ..peers.ours import Cmanager
from ..results import Row
from . import Bench, Job

_NAME = "bench-exec"


def _exec(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    keepers = [peer for peer in bench.peers.there if isinstance(peer, Keeper)]
    for keeper in keepers:
        name = _name(keeper)
        bench.stack.callback(keeper.remove, (name,))
        run(keeper.start(BRIDGE if BRIDGE in keeper.networks else NONE, name))
    return bench.measure([Contestant(keeper.name, partial(_milliseconds, keeper)) for keeper in keepers]), ()


def _milliseconds(keeper: Keeper) -> float:
    return seconds(keeper.exec(_name(keeper), TRUE)) * 1000


def _name(keeper: Keeper) -> str:
    # The variants of cmanager share their containers' names.
    variant = f"-{keeper.runtime}-{keeper.warm}" if isinstance(keeper, Cmanager) else ""
    return f"{_NAME}{variant}".lower()


JOBS = (Job("exec", "exec CONTAINER true", "ms", _exec, Rounds(30, warm_up=3)),)
