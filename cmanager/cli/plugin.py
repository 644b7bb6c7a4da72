"""`cmanager plugin`."""

from __future__ import annotations

import click

from .flags import Group
from .listoptions import list_options, typed
from .main import Settings

#: What an entry point can begin with, in the order of the documentation.
KINDS = ("image", "storage", "network", "limiter", "runtime", "hooks")


@click.group(cls=Group)
def command() -> None:
    """See which plugins there are, whether they work, and begin one of your own."""


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
    able = {ability.name: ability for ability in abilities.table(plugins)}
    found = []
    for row in plugins.rows():
        ability = able.get(row.name) if row.seam == "runtime" else None
        if ability and ability.error:
            row = row._replace(state="failed", reason=row.reason or ability.error)
        found.append((row, ability))
    if in_json:
        items = [row._asdict() | ({"lacks": list(ability.lacks)} if ability else {}) for row, ability in found]
        print_document("plugins", items)
        return
    rows = [
        {
            "Seam": row.seam,
            "Name": row.name,
            "Default": "*" if row.default else "",
            "State": row.state,
            "Runs": row.isolation,
            "Origin": row.origin,
            "Module": row.module,
            "Reason": row.reason,
            "Abilities": lacking(ability) if ability and not ability.error else "",
        }
        for row, ability in found
    ]
    headers = {
        key: key.upper()
        for key in ("Seam", "Name", "Default", "State", "Runs", "Origin", "Module", "Reason", "Abilities")
    }
    print_rows(rows, tuple(headers), headers, template, heading=not noheading)


@command.command("new")
@click.argument("name")
@click.option("--seam", required=True, type=click.Choice(KINDS), help="What it is to provide.")
@click.option("--directory", default=None, help="Where its package is made, ./cmanager-NAME by default.")
@click.pass_obj
def _new(settings: Settings, name: str, seam: str, directory: str | None) -> None:
    """Write the package of a new plugin: small, working, with its tests."""
    from ..plugins import Plugins, load_config
    from .scaffold import check_name, write

    plugins = Plugins(load_config(settings.config), settings.root, settings.run_root)
    check_name(name, plugins.names(seam), seam)
    place = directory or f"cmanager-{name}"
    write(name, seam, place)
    click.echo(place)
