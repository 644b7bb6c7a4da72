"""Tables and lines for lists of rows, and one document for programs."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from .safe import printable, printable_lines

#: A column is this much wider than its widest cell, and never narrower than that.
_GAP, _NARROWEST = 3, 10


def print_document(kind: str, items: list[dict[str, Any]]) -> None:
    """Print a typed list: `{"schema": "cmanager.KIND/1", "items": […]}`.

    A field that is added keeps the version; one that goes or changes its meaning makes it 2.
    """
    click.echo(json.dumps({"schema": f"cmanager.{kind}/1", "items": items}, indent=2))


def print_rows(
    rows: Sequence[dict[str, str]],
    columns: Sequence[str],
    headers: dict[str, str],
    template: str,
    *,
    quiet: str = "",
    heading: bool = True,
    fit: bool = True,
) -> None:
    """Print rows as Docker does.

    rows: every field of each row; columns: fields of the table; headers: their titles; template: "" for the table,
    "json" for an object a line, else a Go template, with "table " before it for one with titles; quiet: print this
    field alone; heading: whether a table has titles; fit: let a table be cut to the width of a terminal.
    """
    if quiet:
        _print_lines([printable(row[quiet]) for row in rows])
    elif template == "json":
        _print_lines([json.dumps(row) for row in rows])
    elif template and template != "table":
        _print_template(rows, headers, template, heading, fit)
    else:
        _print_table([headers[c] for c in columns], [[row[c] for c in columns] for row in rows], heading, fit)


def redraw() -> None:
    """Let what is printed next take the place of what was printed last; does nothing where stdout is no terminal."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        # Home, and clear from there: written together with what follows, so that nothing flickers.
        sys.stdout.write("\x1b[H\x1b[J")


def _print_template(
    rows: Sequence[dict[str, str]], headers: dict[str, str], template: str, heading: bool, fit: bool
) -> None:
    from .gotemplate import Template

    table = template.startswith("table ")
    # Docker takes \t and \n of the shell's single quotes as the real thing here, and only here.
    text = template.removeprefix("table ").strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    compiled = Template(text)
    known = dict(headers) if not rows else {key: headers.get(key, key.upper()) for key in rows[0]}
    lines = [compiled.render(row) for row in rows]
    if table:
        first, *more = compiled.render(known).split("\n")
        below = [line.split("\t") for line in "\n".join((*more, *lines)).split("\n")] if more or lines else []
        _print_table(first.split("\t"), below, heading, fit)
        return
    if not rows:
        compiled.render(known)  # a field that does not exist is an error also of an empty list
    _print_lines([printable_lines(line) for line in lines])


def _print_table(titles: list[str], rows: list[list[str]], heading: bool, fit: bool) -> None:
    cells = [[printable(cell) for cell in row] for row in rows]
    if fit and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from .terminal import print_table

        print_table([printable(title) for title in titles], cells, heading)
        return
    if heading:
        cells.insert(0, [printable(title) for title in titles])
    if not cells:
        return
    widths = [max(len(row[n]) for row in cells if n < len(row)) for n in range(max(map(len, cells)))]
    widths = [max(width + _GAP, _NARROWEST) for width in widths]
    _print_lines(["".join([*map(str.ljust, row[:-1], widths), row[-1]]).rstrip() for row in cells])


def _print_lines(lines: Sequence[str]) -> None:
    """All at once: each line by itself would be a write(2)."""
    if lines:
        click.echo("\n".join(lines))


@contextmanager
def uncollected() -> Iterator[None]:
    """While a list is made, none of which is garbage: to look for some among it takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
