"""`stats --no-stream`: ours on many containers beside docker's on some; wall clock, processor time and their ratios.

Usage, as root: .venv/bin/python benchmarks/stats.py [OURS [DOCKERS [ROUNDS]]], 100, 30 and 5 by default. Processor time
is that of every process that takes part: docker's command, dockerd, containerd and its shims. Without dockerd our own
figures are printed alone.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import run_true

from cmanager import Engine

_ENDLESS = ["busybox", "/bin/sleep", "1000000"]
#: Seconds of wall clock and of processor time.
Cost = tuple[float, float]


def main() -> int:
    """Measure and print."""
    given = [int(word) for word in sys.argv[1:4]]
    ours, theirs, rounds = [*given, *(100, 30, 5)[len(given) :]]
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cmanager-bench-")))
        run_true._prepare(work)
        looks = {f"{name}, {ours}": look for name, look in stack.enter_context(cmanager(work, ours)).items()}
        try:
            looks |= {f"{name}, {theirs}": look for name, look in stack.enter_context(docker(work, theirs)).items()}
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f"docker: left out: {error}")
        costs: dict[str, list[Cost]] = {name: [] for name in looks}
        for number in range(1 + rounds):
            for name, look in looks.items():
                cost = look()
                if number:  # the first one warms up
                    costs[name].append(cost)
    report(costs)
    return 0


def report(costs: dict[str, list[Cost]]) -> None:
    """A table of medians, with the ratio of each to the last, which is docker's where that is there."""
    medians = {
        name: [statistics.median(value[n] for value in values) for n in (0, 1)] for name, values in costs.items()
    }
    last = list(medians.values())[-1]
    print(f"{'':36} {'wall ms':>9} {'CPU ms':>9} {'wall ratio':>11} {'CPU ratio':>10}")
    for name, (wall, cpu) in medians.items():
        print(f"{name:36} {wall * 1e3:9.1f} {cpu * 1e3:9.1f} {wall / last[0]:11.3f} {cpu / last[1]:10.3f}")


@contextmanager
def cmanager(work: Path, count: int) -> Iterator[dict[str, Callable[[], Cost]]]:
    """So many containers on state directories of its own."""
    base = run_true._ours(work)
    try:
        for _ in range(count):
            _quiet([*base, "run", "-d", "--network", "none", *_ENDLESS])
        engine = Engine(f"{work}/root", f"{work}/run")
        yield {
            "cmanager stats": lambda: _cost([*base, "stats", "--no-stream"], lambda: 0.0),
            "one look of it, without a start": lambda: _look(engine),
        }
    finally:
        names = subprocess.run([*base, "ps", "-aq"], check=True, capture_output=True, text=True).stdout.split()
        for name in names:
            subprocess.run([*base, "rm", "-f", name], check=False, capture_output=True)


@contextmanager
def docker(work: Path, count: int) -> Iterator[dict[str, Callable[[], Cost]]]:
    """So many containers of a daemon of its own."""
    with run_true.docker(work) as commands:
        run = commands[", no network"]
        base = run[: run.index("run")]
        daemon = int((work / "docker.pid").read_text())
        try:
            for _ in range(count):
                _quiet([*base, "run", "-d", *run[run.index("run") + 2 : run.index("busybox")], *_ENDLESS])
            yield {"docker stats": lambda: _cost([*base, "stats", "--no-stream"], lambda: _below(daemon))}
        finally:
            names = subprocess.run([*base, "ps", "-aq"], check=True, capture_output=True, text=True).stdout.split()
            if names:
                subprocess.run([*base, "rm", "-f", *names], check=False, capture_output=True)


def _cost(command: list[str], others: Callable[[], float]) -> Cost:
    """What a command takes; others: processor time of those who work for it without being its children."""
    before, began, own = others(), time.perf_counter(), _children()
    _quiet(command)
    return time.perf_counter() - began, _children() - own + others() - before


def _look(engine: Engine) -> Cost:
    """What a command that goes on takes each time: all records, and the kernel's files of each."""
    began, own = time.perf_counter(), time.process_time()
    for container in engine.list():
        engine.usage(container)
    return time.perf_counter() - began, time.process_time() - own


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _below(pid: int) -> float:
    """Processor time of a daemon, of what it started, and of the shims, which their parent leaves to process 1."""
    total = 0.0
    parents, ticks = {}, os.sysconf("SC_CLK_TCK")
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                command, _, rest = file.read().partition(" (")[2].rpartition(") ")
        except OSError:
            continue
        fields = rest.split()
        parents[int(name)] = (int(fields[1]), (int(fields[11]) + int(fields[12])) / ticks, command)
    for number, (parent, seconds, command) in parents.items():
        above = {number, parent, parents.get(parent, (0, 0.0, ""))[0]}
        total += seconds if pid in above or command.startswith("containerd-shim") else 0.0
    return total


def _quiet(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
