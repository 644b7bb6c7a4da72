"""`cmanager kill`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-s", "--signal", "signal_name", default="SIGKILL", help="Signal to send.")
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, signal_name: str, containers: tuple[str, ...]) -> int:
    """Send a signal to the first process of CONTAINERS."""
    from .many import for_each

    engine = settings.engine()
    return for_each(containers, lambda word: engine.kill(word, signal_name))
