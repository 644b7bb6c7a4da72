"""Figures for people, on a terminal or in a file."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .goals import Verdict, verdicts
from .results import Report, Result

_STYLES = {"met": "green", "missed": "red", "not measured": "dim"}


def show(report: Report) -> None:
    """Print versions, a table for each job, what was left out or refused, and the goals."""
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 120)
    for key, value in {**report.machine, **report.versions}.items():
        console.print(Text(f"{key}: {value}"))
    for name, why in report.left_out.items():
        console.print(Text(f"{name}: left out: {why}"))
    for result in report.results:
        title = f"\n{result.job}: {result.about}, {result.unit}, {result.better} is better"
        console.print(Text(title, style="bold"))
        console.print(_job(result))
        for note in result.notes:
            console.print(Text(note, style="dim"))
    for job, why in report.refused.items():
        console.print(Text(f"\n{job}: refused: {why}", style="red"))
    console.print(Text("\ngoals", style="bold"))
    console.print(_goals(verdicts(report)))


def _job(result: Result) -> Table:
    table = _table()
    for title in ("median", "middle half", "min", "max", "rounds", "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in result.rows:
        low, high = row.quartiles
        ratio = result.ratio(row)
        table.add_row(
            Text(row.name),
            figure(row.median),
            f"{figure(low)} to {figure(high)}",
            figure(min(row.samples)),
            figure(max(row.samples)),
            str(len(row.samples)),
            "" if ratio is None else f"{ratio:.2f}",
        )
    return table


def _goals(found: tuple[Verdict, ...]) -> Table:
    table = _table()
    for title in ("goal", "measured", ""):
        table.add_column(title, justify="right", no_wrap=True)
    for verdict in found:
        measured = "" if verdict.measured is None else f"{verdict.measured:.2f}"
        table.add_row(verdict.goal.text, str(verdict.goal), measured, Text(verdict.word, _STYLES[verdict.word]))
    return table


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    return table


def figure(value: float) -> str:
    """Three digits or so: 7.84, 36.2, 342."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
