"""`cmanager tag`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.argument("source")
@click.argument("target")
@click.pass_obj
def command(settings: Settings, source: str, target: str) -> None:
    """Give the image SOURCE the further name TARGET."""
    settings.engine().tag(source, target)
