"""`cmanager run`."""

from __future__ import annotations

from typing import Any

import click

from .main import Settings
from .options import CONTEXT, attach_options, container_options


@click.command(context_settings=CONTEXT)
@click.option("-d", "--detach", is_flag=True, help="Print the id and leave it running.")
@click.option("--cidfile", default="", metavar="FILE", help="Write the container's id to a new file.")
@click.option(
    "--progress", type=click.Choice(["auto", "plain", "json", "none"]), default="auto", help="How pulls show."
)
@attach_options
@container_options
@click.pass_obj
def command(
    settings: Settings, /, detach: bool, cidfile: str, progress: str, detach_keys: bytes, sig_proxy: bool, **given: Any
) -> int:
    """Create a container from IMAGE and run COMMAND in it."""
    from ..engine import Session
    from ..model import Container
    from .attached import pump, window
    from .created import announced_cidfile, print_warnings
    from .output.progress import shown
    from .request import build

    engine = settings.engine()
    request = build(**given)
    size = window(tty=request.tty and not detach, interactive=request.interactive)
    with announced_cidfile(cidfile) as write_id, shown(progress) as show:

        def created(container: Container) -> None:
            write_id(container.id)
            print_warnings(container)

        started = engine.run(request, attached=not detach, window=size, progress=show, created=created)
    if not isinstance(started, Session):
        click.echo(started.id)
        return 0
    return pump(started, interactive=request.interactive, detach_keys=detach_keys, sig_proxy=sig_proxy)
