"""A table that fits the terminal it is printed on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Columns that are cut last: what people copy from a list.
_KEPT = ("CONTAINER ID", "IMAGE ID", "NAMES", "NAME", "REPOSITORY", "TAG")
#: Between two columns, where there is room and where there is not; and what a column keeps when it is cut.
_GAP, _NARROW_GAP, _LEAST = 3, 2, 4


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], heading: bool) -> None:
    """Print cells, which are harmless already, in the width of the terminal; what is too wide ends in "…".

    Colour says how things are, unless NO_COLOR is set (no-color.org): then there is no control byte at all.
    """
    console = Console(
        file=sys.stdout,
        force_terminal=True,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        legacy_windows=False,
    )
    titles = [*titles, *[""] * (max(map(len, rows), default=0) - len(titles))]
    widths, gap = _widths(titles, [titles, *rows] if heading else rows, console.width)
    table = Table(box=None, show_header=heading, header_style="bold", pad_edge=False, padding=(0, gap, 0, 0))
    for title, width in zip(titles, widths, strict=True):
        table.add_column(Text(title), no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        table.add_row(*map(_cell, titles, row))
    console.print(table)


def _widths(titles: Sequence[str], lines: Sequence[Sequence[str]], room: int) -> tuple[list[int], int]:
    """How wide each column may be, and the gap: the widest give way first, those that are kept only then."""
    widths = [max((cell_len(line[n]) for line in lines if n < len(line)), default=1) or 1 for n in range(len(titles))]
    gaps = len(widths) - 1
    if sum(widths) + gaps * _GAP <= room:
        return widths, _GAP
    others = [n for n, title in enumerate(titles) if title not in _KEPT]
    for group, least in ((others, 2 * _LEAST), (others, _LEAST), (range(len(titles)), 1)):
        while sum(widths) + gaps * _NARROW_GAP > room:
            widest = max(group, key=lambda n: widths[n], default=None)
            if widest is None or widths[widest] <= least:
                break
            widths[widest] -= 1
    return widths, _NARROW_GAP


def _cell(title: str, text: str) -> Text:
    return Text(text, style=_style(title, text), no_wrap=True, overflow="ellipsis")


def _style(title: str, text: str) -> str:
    if title not in ("STATUS", "STATE"):
        return ""
    if "(Paused)" in text or text == "paused":
        return "yellow"
    if text.startswith(("Up ", "running", "ok")):
        return "green"
    if text.startswith("Exited (0)"):
        return "bright_black"
    return "red" if text.startswith(("Exited", "failed")) else ""
