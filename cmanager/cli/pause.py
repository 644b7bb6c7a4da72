"""`cmanager pause`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, containers: tuple[str, ...]) -> int:
    """Freeze all processes of CONTAINERS."""
    from .many import for_each

    return for_each(containers, settings.engine().pause)
