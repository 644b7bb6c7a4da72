"""`cmanager wait`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, containers: tuple[str, ...]) -> int:
    """Wait until CONTAINERS stop and print their exit codes."""
    from .many import for_each

    engine = settings.engine()
    return for_each(containers, engine.wait)
