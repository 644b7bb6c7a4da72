"""`cmanager rename`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.argument("container")
@click.argument("name")
@click.pass_obj
def command(settings: Settings, container: str, name: str) -> None:
    """Give CONTAINER another NAME."""
    settings.engine().rename(container, name)
