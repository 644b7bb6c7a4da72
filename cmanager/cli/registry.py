"""`cmanager registry`: the images of the local registry directory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from .main import Settings

if TYPE_CHECKING:
    from ..seams import Registry


@click.group()
def command() -> None:
    """Build and list the images of the local registry directory."""


@command.command("build")
@click.option("--progress", type=click.Choice(["auto", "plain", "json", "none"]), default="auto", help="How it shows.")
@click.argument("names", nargs=-1)
@click.pass_obj
def _build(settings: Settings, progress: str, names: tuple[str, ...]) -> None:
    """Build the recipes NAMES, or all of them."""
    from .output.progress import shown

    registry = _registry(settings)
    with shown(progress) as show:
        built = registry.build(names, show)
    for entry in built:
        click.echo(f"{entry.reference} {entry.image.digest}")


@command.command("ls")
@click.option("--format", "template", default="", help="json, or a Go template.")
@click.pass_obj
def _list(settings: Settings, template: str) -> None:
    """List what is there to be pulled, and the recipes that can be built."""
    from .output.listing import print_rows
    from .output.rows import image_row

    registry = _registry(settings)
    recipes = registry.recipes()
    rows = []
    for entry in registry.repositories():
        name = image_row(entry, time.time())["Repository"]
        rows.append(_row(entry.reference, entry.image.digest, recipes.pop(name, "")))
    rows += [_row(name, "not built", about) for name, about in sorted(recipes.items())]
    headers = {"Name": "NAME", "Digest": "DIGEST", "About": "ABOUT"}
    print_rows(rows, tuple(headers), headers, template)


def _row(name: str, digest: str, about: str) -> dict[str, str]:
    return {"Name": name, "Digest": digest, "About": about}


def _registry(settings: Settings) -> Registry:
    from ..errors import UnsupportedError
    from ..seams import Registry

    engine = settings.engine()
    images: Any = engine.images
    if not isinstance(images, Registry):
        name = engine.plugins.default("image")
        raise UnsupportedError(f"image plugin {name!r} keeps no local registry directory")
    return images
