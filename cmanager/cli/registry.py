"""`cmanager registry`: the images of the local registry directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .flags import Group
from .listoptions import list_options, typed
from .main import Settings

if TYPE_CHECKING:
    from ..seams import Registry


@click.group(cls=Group)
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
@list_options
@click.pass_obj
def _list(settings: Settings, template: str, output: str, noheading: bool) -> None:
    """List what is there to be pulled, and the recipes that can be built."""
    from .output.listing import print_document, print_rows
    from .output.rows import split_reference

    in_json = typed(output, template)
    registry = _registry(settings)
    recipes = registry.recipes()
    found: list[dict[str, Any]] = []
    for entry in registry.repositories():
        about = recipes.pop(split_reference(entry.reference)[0], "")
        found.append({"reference": entry.reference, "digest": entry.image.digest, "about": about})
    found += [{"reference": name, "digest": None, "about": about} for name, about in sorted(recipes.items())]
    if in_json:
        print_document("registry", found)
        return
    rows = [{"Name": f["reference"], "Digest": f["digest"] or "not built", "About": f["about"]} for f in found]
    headers = {"Name": "NAME", "Digest": "DIGEST", "About": "ABOUT"}
    print_rows(rows, tuple(headers), headers, template, heading=not noheading)


def _registry(settings: Settings) -> Registry:
    from ..errors import UnsupportedError
    from ..seams import Registry

    engine = settings.engine()
    images: Any = engine.images
    if not isinstance(images, Registry):
        name = engine.plugins.default("image")
        raise UnsupportedError(f"image plugin {name!r} keeps no local registry directory")
    return images
