"""A container from nothing to nothing: one at a time, and many at once."""

from __future__ import annotations

from functools import partial

from ..commands import seconds, together
from ..measuring import Contestant, Rounds
from ..peers import BRIDGE, HOST, NONE, TRUE, Peer
from ..results import Row
from . import Bench, Job

_AT_ONCE = (1, 8, 32)


def _run(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    contestants = [
        Contestant(_named(peer, network), partial(_milliseconds, peer, network))
        for peer in bench.peers.there
        for network in peer.networks
    ]
    return bench.measure(contestants), ()


def _runtimes(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    contestants = []
    for runtime, networks in bench.ours.providers().items():
        network = HOST if HOST in networks else NONE
        peer = bench.ours.through(runtime, networks)
        contestants.append(Contestant(f"by {runtime}, network {network}", partial(_milliseconds, peer, network)))
    contestants.sort(key=lambda contestant: not contestant.name.startswith("by native"))
    return bench.measure(contestants), ()


def _rate(count: int, bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    def act(peer: Peer, network: str, parallel: int) -> float:
        return count / together((peer.run(network, TRUE) for _ in range(count)), parallel)

    contestants = [
        Contestant(
            f"{peer.name}, {parallel} at a time",
            partial(act, peer, BRIDGE if BRIDGE in peer.networks else NONE, parallel),
            f"{bench.ours.name}, {parallel} at a time",
        )
        for parallel in _AT_ONCE
        for peer in bench.variants()
    ]
    return bench.measure(contestants), ("with a bridge, but for bare runc and lxc-execute, which have no network",)


def _milliseconds(peer: Peer, network: str) -> float:
    return seconds(peer.run(network, TRUE)) * 1000


def _named(peer: Peer, network: str) -> str:
    if peer.networks == (NONE,):
        return peer.name
    return f"{peer.name}, {'bridge' if network == BRIDGE else 'no network'}"


JOBS = (
    Job("run", "run --rm busybox true", "ms", _run, Rounds(30, warm_up=3)),
    Job("runtimes", "the same without network, by each runtime", "ms", _runtimes, Rounds(10)),
    Job("rate-40", "forty runs", "runs/s", partial(_rate, 40), Rounds(3), "more"),
    Job("rate-200", "two hundred runs", "runs/s", partial(_rate, 200), Rounds(1, warm_up=0), "more"),
)
