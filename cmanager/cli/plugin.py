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
    from ..engine import abilities
    from .output.abilities import lacking
    from .output.listing import print_document, print_rows

    in_json = typed(output, template)
    plugins = settings.engine().plugins
    found = plugins.rows()
    able = {ability.name: ability for ability in abilities.table(plugins)}
    found = [
        row._replace(state="failed", reason=row.reason or able[row.name].error)
        if row.seam == "runtime" and able[row.name].error
        else row
        for row in found
    ]
    if in_json:
        lacks = {name: list(ability.lacks) for name, ability in able.items()}
        own = [{"lacks": lacks[row.name]} if row.seam == "runtime" else {} for row in found]
        print_document("plugins", [row._asdict() | more for row, more in zip(found, own, strict=True)])
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
            "Abilities": lacking(able[row.name]) if row.seam == "runtime" and not able[row.name].error else "",
        }
        for row in found
    ]
    headers = {
        key: key.upper() for key in ("Seam", "Name", "Default", "State", "Origin", "Module", "Reason", "Abilities")
    }
    print_rows(rows, tuple(headers), headers, template, heading=not noheading)
