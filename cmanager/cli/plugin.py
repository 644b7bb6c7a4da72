"""`cmanager plugin`."""

from __future__ import annotations

import click

from .flags import Group
from .listoptions import list_options, typed
from .main import Settings


@click.group(cls=Group)
def command() -> None:
    """See which plugins there are, and whether they work."""


@command.command("ls")
@list_options
@click.pass_obj
def _list(settings: Settings, template: str, output: str, noheading: bool) -> None:
    """List every plugin, with the reason where one does not load."""
    from .output.listing import print_document, print_rows

    in_json = typed(output, template)
    found = settings.engine().plugins.rows()
    if in_json:
        print_document("plugins", [row._asdict() for row in found])
        return
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
        for row in found
    ]
    headers = {key: key.upper() for key in ("Seam", "Name", "Default", "State", "Origin", "Module", "Reason")}
    print_rows(rows, tuple(headers), headers, template, heading=not noheading)
