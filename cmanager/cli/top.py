"""`cmanager top`."""

from __future__ import annotations

import click

from .main import Settings


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("container")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[PS OPTIONS]...")
@click.pass_obj
def command(settings: Settings, container: str, options: tuple[str, ...]) -> None:
    """Show the processes of CONTAINER, in the columns of ps(1): -ef, or PS OPTIONS."""
    from .output.processes import table
    from .output.safe import printable

    for line in table(settings.engine().processes(container), options or ("-ef",)):
        click.echo(printable(line))
