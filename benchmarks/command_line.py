"""The command line of `benchmarks/run`."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import evolve

from . import jobs, results, table
from .commands import Refused
from .peers import open_all
from .picture import draw
from .place import Place, within
from .results import Report

#: The command that is measured, where no option says which.
_COMMAND = Path(sys.executable).parent / "cmanager"
_EPILOG = """
Needs root. Peers that are not installed are named and left out; nothing is installed. dockerd is started with
directories of its own and ended. All of it happens in namespaces; afterwards the machine is as it was, or exit code 1.
Exits with 1 also when a comparison was refused, because versions or the work differed; a goal that is missed is no
error.
"""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    known = jobs.every()
    given = _parser(list(known)).parse_args(arguments)
    try:
        if given.show:
            return _publish(results.merged(results.from_json(path.read_text()) for path in given.show), given)
    except (OSError, Refused) as error:
        return _fail(str(error))
    if os.geteuid() != 0:
        return _fail("needs root, try: sudo")
    wrong = [job for job in given.jobs if job not in known]
    if wrong:
        return _fail(f"no job {wrong[0]!r}, known are {', '.join(known)}")
    chosen = [known[job] for job in dict.fromkeys(given.jobs or known)]
    program, *words = shlex.split(given.cmanager) or [""]
    found = shutil.which(program)
    if found is None:
        return _fail(f"no command {program!r}, name one with --cmanager")
    command = (os.path.abspath(found), *words)

    def work(place: Place) -> int:
        try:
            report = _measure(place, chosen, command, given.rounds, given.most)
        except Refused as error:
            return _fail(str(error))
        return _publish(report, given)

    return within(work)


def _measure(place: Place, chosen: Sequence[jobs.Job], command: Sequence[str], rounds: int | None, most: int) -> Report:
    with ExitStack() as stack:
        peers = open_all(place, command, stack)
        machine = _machine() | {"command server": peers.ours.server()}
        report = Report(machine, peers.versions(), left_out=peers.left_out)
        for job in chosen:
            print(f"benchmarks: {job.name}", file=sys.stderr, flush=True)
            try:
                found = jobs.perform(job, place, peers, rounds, most)
                report = evolve(report, results=(*report.results, found))
            except Refused as error:
                print(f"benchmarks: {job.name}: refused: {error}", file=sys.stderr, flush=True)
                report = evolve(report, refused={**report.refused, job.name: str(error)})
    return report


def _publish(report: Report, given: argparse.Namespace) -> int:
    if given.json:
        given.json.write_text(results.to_json(report))
    if given.svg:
        given.svg.write_text(draw(report))
    table.show(report)
    return 1 if report.refused else 0


def _machine() -> dict[str, str]:
    return {
        "kernel": f"{platform.release()} {platform.machine()}",
        "processors": str(len(os.sched_getaffinity(0))),
        "Python": platform.python_version(),
    }


def _parser(known: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=_described(), epilog=_EPILOG)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"of {', '.join(known)}; all when there are none")
    parser.add_argument("--rounds", type=_positive, help="samples of each figure, instead of as many as the job needs")
    parser.add_argument("--most", type=_positive, default=500, help="containers that a job may have at once (500)")
    command = os.environ.get("CMANAGER_BENCH_COMMAND", str(_COMMAND))
    parser.add_argument(
        "--cmanager", default=command, metavar="WORDS", help="the command that is measured (%(default)s)"
    )
    parser.add_argument("--svg", type=Path, metavar="PATH", help="write a picture")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every sample")
    parser.add_argument(
        "--show",
        type=Path,
        action="append",
        metavar="PATH",
        help="measure nothing: tell what --json wrote; given again, other jobs measured with the same versions",
    )
    return parser


def _described() -> str:
    return "Measure cmanager side by side with the container managers that are there."


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _fail(text: str) -> int:
    print(f"benchmarks: {text}", file=sys.stderr)
    return 125
