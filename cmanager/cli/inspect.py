"""`cmanager inspect`."""

from __future__ import annotations

import sys
from typing import Any

import click

from .listoptions import typed
from .main import Settings


@click.command()
@click.option("-f", "--format", "template", default="", help="json, or a Go template.")
@click.option("--output", type=click.Choice(["json"]), default=None, help="One document with a schema version.")
@click.option("-s", "--size", is_flag=True, help="Also say how many bytes containers hold beyond their image.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["container", "image", "volume", "pod"]),
    default=None,
    help="Look for these only.",
)
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def command(
    settings: Settings, template: str, output: str | None, size: bool, kind: str | None, names: tuple[str, ...]
) -> int:
    """Show everything known of containers, images, volumes and pods called NAMES, as a JSON array."""
    import json

    from ..errors import CmanagerError, NotFoundError
    from .output.gotemplate import Template
    from .output.listing import print_document
    from .output.safe import printable, printable_lines

    in_document = typed(output or "", template)
    compiled = Template(template) if template and template != "json" else None
    engine = settings.engine()
    found, code = [], 0
    for name in names:
        try:
            found.append(_look(engine, name, kind, size))
        except NotFoundError:
            print(f"cmanager: no such {kind or 'container, image, volume or pod'}: {printable(name)}", file=sys.stderr)
            code = code or 1
        except CmanagerError as error:
            print(f"cmanager: {printable(str(error))}", file=sys.stderr)
            code = error.exit_code
    if in_document:
        print_document("inspect", found)
    elif compiled:
        for item in found:
            click.echo(printable_lines(compiled.render(item)))
    elif template == "json":
        for item in found:
            click.echo(json.dumps(item))
    else:
        click.echo(json.dumps(found, indent=4))
    return code


def _look(engine: Any, name: str, kind: str | None, size: bool) -> dict[str, Any]:
    from ..errors import InvalidError, NotFoundError
    from .output import describe

    if kind == "pod":
        return _pod(engine, name)
    if kind not in ("image", "volume"):
        try:
            container = engine.inspect(name)
        except NotFoundError:
            if kind == "container":
                raise
        else:
            image = engine.image_of(container)
            where = {volume.name: volume.mountpoint for volume in engine.volumes.of(container)}
            described = describe.container(
                container, image.config if image else None, where, engine.orphaned(container)
            )
            if size:
                sizes = engine.size(container)
                described |= {"SizeRw": sizes.writable, "SizeRootFs": sizes.virtual}
            return described
    try:
        image = None if kind == "volume" else engine.images.resolve(name)
    except (InvalidError, NotFoundError):
        image = None
    if image is None:
        if kind == "image":
            raise NotFoundError(name)
        try:
            volume = engine.volumes.inspect(name)
        except (InvalidError, NotFoundError):
            if kind == "volume":
                raise NotFoundError(name) from None
            return _pod(engine, name)
        return describe.volume(volume, engine.volumes.status(volume))
    names = [e.reference for e in engine.image_entries() if e.reference and e.image.digest == image.digest]
    return describe.image(image, names)


def _pod(engine: Any, name: str) -> dict[str, Any]:
    from .output import pods

    entry = engine.pods.inspect(name)
    return pods.described(entry, engine.paths.pod(entry.pod.id))
