"""`stats --no-stream`: wall clock, and the processor time of everybody who works for it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from cmanager import Engine

from ..commands import Command, run, seconds
from ..leaks import daemons, trees
from ..measuring import Act, Contestant, Rounds
from ..peers import NONE
from ..peers.docker import Docker
from ..results import Row
from . import Bench, Job

#: Containers of ours and of docker's.
_OURS, _DOCKERS = 100, 30


def _stats(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    ours, count = bench.ours, min(_OURS, bench.most)
    names = [f"bench-{number}" for number in range(count)]
    bench.stack.callback(ours.remove, names)
    servers = daemons(bench.place.above).get("cmanager", set())
    for name in names:
        run(ours.start(NONE, name))
    engine = Engine(ours.root, ours.run_root, ours.config)
    looks: dict[str, Act] = {
        f"cmanager stats of {count}": partial(
            _cost, ours.other("stats", "--no-stream"), lambda: _processor(trees(servers))
        ),
        "one look of it, without a start": partial(_look, engine),
    }
    docker = bench.peers.named("docker")
    if isinstance(docker, Docker):
        theirs = names[:_DOCKERS]
        bench.stack.callback(docker.remove, theirs)
        for name in theirs:
            run(docker.start(NONE, name))
        command = Command((*docker.base, "stats", "--no-stream"), says=None)
        looks[f"docker stats of {len(theirs)}"] = partial(_cost, command, lambda: _processor(_dockers(bench)))
    return bench.measure([Contestant(name, act, list(looks)[-1]) for name, act in looks.items()]), ()


def _cost(command: Command, others: Callable[[], float]) -> dict[str, float]:
    """What a command takes; others: processor time of those who work for it without being its children."""
    before, own = others(), _children()
    took = seconds(command)
    return _figures(took, _children() - own + others() - before)


def _look(engine: Engine) -> dict[str, float]:
    """What a command that goes on takes each time: all records, and the kernel's files of each."""
    began, own = time.perf_counter(), time.process_time()
    for container in engine.list():
        engine.usage(container)
    return _figures(time.perf_counter() - began, time.process_time() - own)


def _figures(wall: float, processor: float) -> dict[str, float]:
    return {", wall clock": wall * 1000, ", processor": processor * 1000}


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _dockers(bench: Bench) -> set[int]:
    """dockerd, containerd and its shims."""
    return daemons(bench.place.above).get("docker", set())


def _processor(pids: Iterable[int]) -> float:
    """Seconds of processor that these and those they have waited for have used so far (proc_pid_stat(5))."""
    ticks = 0
    for pid in pids:
        with suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            ticks += sum(map(int, file.read().rpartition(") ")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


JOBS = (Job("stats", "stats --no-stream", "ms", _stats, Rounds(5)),)
