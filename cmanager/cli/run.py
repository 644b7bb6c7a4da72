"""`cmanager run`."""

from __future__ import annotations

from typing import Any

import click

from .main import Settings
from .options import CONTEXT, container_options


@click.command(context_settings=CONTEXT)
@click.option("-d", "--detach", is_flag=True, help="Print the id and leave it running.")
@click.option("--cidfile", default="", metavar="FILE", help="Write the container's id to a new file.")
@click.option(
    "--progress", type=click.Choice(["auto", "plain", "json", "none"]), default="auto", help="How pulls show."
)
@container_options
@click.pass_obj
def command(settings: Settings, /, detach: bool, cidfile: str, progress: str, **given: Any) -> int:
    """Create a container from IMAGE and run COMMAND in it."""
    from ..engine import Session
    from ..model import Container
    from .created import announced_cidfile, print_warnings
    from .output.progress import shown
    from .request import build

    engine = settings.engine()
    request = build(**given)
    with announced_cidfile(cidfile) as write_id, shown(progress) as show:

        def created(container: Container) -> None:
            write_id(container.id)
            print_warnings(container)

        started = engine.run(request, attached=not detach, progress=show, created=created)
    if not isinstance(started, Session):
        click.echo(started.id)
        return 0
    return started.pump(0 if request.interactive else -1, 1, 2, forward_signals=True)
