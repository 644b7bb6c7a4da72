"""Tables and lines for lists of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from .safe import printable, printable_lines

#: A column is this much wider than its widest cell, and never narrower than that.
_GAP, _NARROWEST = 3, 10


def print_rows(
    rows: Sequence[dict[str, str]],
    columns: Sequence[str],
    headers: dict[str, str],
    template: str,
    *,
    quiet: str = "",
) -> None:
    """Print rows as Docker does.

    rows: every field of each row; columns: fields of the table; headers: their titles; template: "" for the table,
    "json" for an object a line, else a Go template, with "table " before it for one with titles; quiet: print this
    field alone.
    """
    if quiet:
        for row in rows:
            click.echo(printable(row[quiet]))
    elif template == "json":
        for row in rows:
            click.echo(json.dumps(row))
    elif template and template != "table":
        _print_template(rows, headers, template)
    else:
        _print_table([[headers[c] for c in columns], *([row[c] for c in columns] for row in rows)])


def _print_template(rows: Sequence[dict[str, str]], headers: dict[str, str], template: str) -> None:
    from .gotemplate import Template

    table = template.startswith("table ")
    # Docker takes \t and \n of the shell's single quotes as the real thing here, and only here.
    text = template.removeprefix("table ").strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    compiled = Template(text)
    known = dict(headers) if not rows else {key: headers.get(key, key.upper()) for key in rows[0]}
    lines = [compiled.render(row) for row in rows]
    if table:
        shown = "\n".join((compiled.render(known), *lines)).split("\n")
        _print_table([line.split("\t") for line in shown])
        return
    if not rows:
        compiled.render(known)  # a field that does not exist is an error also of an empty list
    for line in lines:
        click.echo(printable_lines(line))


def _print_table(rows: list[list[str]]) -> None:
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in cells if n < len(row)) for n in range(max(map(len, cells)))]
    for row in cells:
        padded = [cell.ljust(max(widths[n] + _GAP, _NARROWEST)) for n, cell in enumerate(row[:-1])]
        click.echo("".join([*padded, row[-1]]).rstrip())
