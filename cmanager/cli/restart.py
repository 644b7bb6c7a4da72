"""`cmanager restart`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-t", "--time", "--timeout", "timeout", type=int, default=None, help="Seconds before it is killed.")
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, timeout: int | None, containers: tuple[str, ...]) -> int:
    """Stop CONTAINERS, if they run, and start them."""
    from .many import for_each

    engine = settings.engine()
    return for_each(containers, lambda word: engine.restart(word, timeout))
