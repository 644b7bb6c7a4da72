"""`cmanager create`."""

from __future__ import annotations

from typing import Any

import click

from .main import Settings
from .options import CONTEXT, container_options, time_option


@click.command(context_settings=CONTEXT)
@click.option("--cidfile", default="", metavar="FILE", help="Write the container's id to a new file.")
@time_option
@container_options
@click.pass_obj
def command(settings: Settings, /, cidfile: str, timed: str | None, quiet: bool, **given: Any) -> None:
    """Create a container from IMAGE that `start` will run."""
    settings.keep_time(timed, "create")
    from .created import announced_cidfile, print_warnings
    from .output.progress import shown
    from .request import build

    with announced_cidfile(cidfile) as write_id, shown("none" if quiet else "auto") as show:
        container = settings.engine().create(build(**given), show, replace=given["replace"])
        write_id(container.id)
    print_warnings(container)
    click.echo(container.id)
