"""`cmanager diff`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.argument("container")
@click.pass_obj
def command(settings: Settings, container: str) -> int:
    """List what CONTAINER added (A), changed (C) and deleted (D) in the files of its image."""
    from ..errors import NotFoundError
    from .main import _fail
    from .output.safe import printable

    try:
        changes = settings.engine().files.changes(container)
    except NotFoundError as error:
        return _fail(str(error), 1)
    for change in changes:
        click.echo(f"{change.kind} {printable(change.path)}")
    return 0
