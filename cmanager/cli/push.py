"""`cmanager push`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Print the reference alone.")
@click.option("--progress", type=click.Choice(["auto", "plain", "json", "none"]), default="auto", help="How it shows.")
@click.argument("name", metavar="NAME[:TAG]")
@click.pass_obj
def command(settings: Settings, quiet: bool, progress: str, name: str) -> None:
    """Put the image called NAME into the registry that `pull` fetches from."""
    from ..model import Reference
    from .output.progress import shown

    reference = Reference.parse(name)
    engine = settings.engine()
    with shown("none" if quiet else progress) as show:
        digest = engine.push(name, show)
    click.echo(str(reference) if quiet else f"{reference}: digest: {digest}")
