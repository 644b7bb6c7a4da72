"""`cmanager stats`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from .listoptions import list_options, typed
from .main import Settings

if TYPE_CHECKING:
    from ..engine import Engine
    from ..model import Container
    from .output.stats import Sample

#: Seconds between the two looks that a CPU percentage needs, where nobody waits for the next line anyway.
_SHORT = 0.08


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that do not run.")
@click.option("--no-stream", is_flag=True, help="Look once and end.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("--by-label", default="", metavar="KEY", help="A line for each value of this label, summed.")
@click.option(
    "--interval", type=click.FloatRange(0.01, 86400), default=None, metavar="SECONDS", help="Time between two looks, 1."
)
@list_options
@click.argument("containers", nargs=-1)
@click.pass_obj
def command(
    settings: Settings,
    everything: bool,
    no_stream: bool,
    no_trunc: bool,
    by_label: str,
    interval: float | None,
    template: str,
    output: str,
    noheading: bool,
    containers: tuple[str, ...],
) -> None:
    """Show what CONTAINERS use, or all that run: again and again, in place on a terminal."""
    from ..errors import InvalidError
    from .output import stats
    from .output.listing import print_document, print_rows, redraw

    in_json = typed(output, template)
    if in_json and not no_stream:
        raise InvalidError("--output json is one document, give --no-stream too")
    engine, memory = settings.engine(), stats.host_memory()

    def look(found: dict[str, Container]) -> dict[str, Sample]:
        samples = stats.sampled(engine, found.values(), time.monotonic, engine.plugins.warn)
        return {sample.container.id: sample for sample in samples}

    def show(found: dict[str, Container], before: dict[str, Sample], samples: list[Sample]) -> None:
        names = {container.id: word for word, container in found.items()}
        each = [stats.totals(before.get(sample.container.id), sample, memory) for sample in samples]
        fit = not no_trunc
        if not by_label:
            pairs = list(zip(samples, each, strict=True))
            if in_json:
                print_document("stats", [stats.item(sample, one) for sample, one in pairs])
                return
            rows = [stats.row(s, one, names[s.container.id], trunc=fit) for s, one in pairs]
            print_rows(rows, stats.COLUMNS, stats.HEADERS, template, heading=not noheading, fit=fit)
            return
        groups = stats.by_label(by_label, samples, each, memory)
        if in_json:
            print_document("stats", [stats.group_item(by_label, *group) for group in groups])
            return
        rows = [stats.group_row(value, len(of), total) for value, of, total in groups]
        print_rows(rows, stats.GROUP_COLUMNS, stats.GROUP_HEADERS, template, heading=not noheading, fit=fit)

    found = _chosen(engine, containers, everything, first=True)
    began, before = time.monotonic(), look(found)
    pause = _SHORT if interval is None else interval
    if no_stream:
        time.sleep(max(0.0, began + pause - time.monotonic()))
        # What is a moment old is not looked at again, but for the processor time.
        later = stats.again(engine, before.values(), time.monotonic) if interval is None else look(found).values()
        show(found, before, list(later))
        return
    while True:
        time.sleep(max(0.0, began + pause - time.monotonic()))
        found = _chosen(engine, containers, everything, first=False)
        began, samples = time.monotonic(), look(found)
        redraw()
        show(found, before, list(samples.values()))
        if containers and not samples:
            return
        sys.stdout.flush()
        before, pause = samples, 1.0 if interval is None else interval


def _chosen(engine: Engine, words: tuple[str, ...], everything: bool, first: bool) -> dict[str, Container]:
    """Those that are named, or all that run, by what they were called; first: one that is not there is an error."""
    from ..errors import NotFoundError

    if not words:
        return {found.id[:12]: found for found in engine.list() if everything or found.status.runs}
    found: dict[str, Container] = {}
    for word in words:
        try:
            container = engine.inspect(word)
        except NotFoundError:
            if first:
                raise
            continue
        if container.id not in [other.id for other in found.values()]:
            found[word] = container
    return found
