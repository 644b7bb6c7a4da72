"""`cmanager unpause`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, containers: tuple[str, ...]) -> int:
    """Let frozen CONTAINERS go on."""
    from .many import for_each

    return for_each(containers, settings.engine().unpause)
