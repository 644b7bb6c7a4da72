"""`cmanager rmi`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-f", "--force", is_flag=True, help="Also images that stopped containers were made from.")
@click.argument("images", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, force: bool, images: tuple[str, ...]) -> int:
    """Remove IMAGES, by name, digest or id."""
    from .many import for_each

    engine = settings.engine()
    return for_each(images, lambda word: "\n".join(engine.remove_image(word, force=force)))
