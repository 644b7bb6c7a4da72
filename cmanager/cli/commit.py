"""`cmanager commit`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-a", "--author", default="", help="Who made it.")
@click.option("-m", "--message", default="", help="What for.")
@click.option("-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="A line of a Dockerfile.")
@click.option("-p", "--pause/--no-pause", default=True, help="Pause the container meanwhile (default).")
@click.argument("container")
@click.argument("reference", metavar="[REPOSITORY[:TAG]]", required=False)
@click.pass_obj
def command(
    settings: Settings,
    author: str,
    message: str,
    changes: tuple[str, ...],
    pause: bool,
    container: str,
    reference: str | None,
) -> int:
    """Make an image of what CONTAINER has become, and print its id.

    --change takes CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR.
    """
    from ..errors import NotFoundError
    from ..model import Reference
    from .main import _fail

    name = Reference.parse(reference) if reference else None
    try:
        image = settings.engine().commit(container, name, changes=changes, author=author, message=message, pause=pause)
    except NotFoundError as error:
        return _fail(str(error), 1)
    click.echo(image.id)
    return 0
