"""`cmanager pull`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Print the reference alone.")
@click.option("--progress", type=click.Choice(["auto", "plain", "json", "none"]), default="auto", help="How it shows.")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, quiet: bool, progress: str, names: tuple[str, ...]) -> None:
    """Fetch images called NAMES from the registry and store them."""
    from ..errors import CmanagerError
    from ..model import Reference
    from .output.progress import shown

    engine = settings.engine()
    references = [Reference.parse(name) for name in names]
    for reference in references:
        try:
            before = engine.images.resolve(str(reference)).digest
        except CmanagerError:
            before = ""  # not here, or broken, which the pull mends or tells
        with shown("none" if quiet else progress) as show:
            image = engine.pull(str(reference), show)
        if not quiet:
            news = "Image is up to date for" if image.digest == before else "Downloaded newer image for"
            click.echo(f"Digest: {image.digest}\nStatus: {news} {reference}")
        click.echo(str(reference))
