"""`cmanager plugin`."""

from __future__ import annotations

import click

from .main import Settings


@click.group()
def command() -> None:
    """See which plugins there are, and whether they work."""


@command.command("ls")
@click.option("--format", "template", default="", help="json, or a Go template.")
@click.pass_obj
def _list(settings: Settings, template: str) -> None:
    """List every plugin, with the reason where one does not load."""
    from .output.listing import print_rows

    rows = [
        {
            "Seam": row.seam,
            "Name": row.name,
            "Default": "*" if row.default else "",
            "State": row.state,
            "Origin": row.origin,
            "Module": row.module,
            "Reason": row.reason,
        }
        for row in settings.engine().plugins.rows()
    ]
    headers = {key: key.upper() for key in ("Seam", "Name", "Default", "State", "Origin", "Module", "Reason")}
    print_rows(rows, tuple(headers), headers, template)
