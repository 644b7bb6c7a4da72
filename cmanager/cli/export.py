"""`cmanager export`."""

from __future__ import annotations

import os

import click

from .main import Settings


@click.command()
@click.option("-o", "--output", default="", metavar="FILE", help="Write to a file instead of stdout.")
@click.argument("container")
@click.pass_obj
def command(settings: Settings, output: str, container: str) -> int:
    """Write the root file system of CONTAINER as a tar archive, without what is mounted in it."""
    from ..errors import InvalidError, NotFoundError
    from .main import _fail

    if not output and os.isatty(1):
        raise InvalidError("refusing to write an archive to a terminal, use -o FILE or a pipe")
    files = settings.engine().files
    try:
        if not output:
            files.export(container, 1)
            return 0
        from ..engine.files import replace_file

        replace_file(output, lambda fd: files.export(container, fd))
    except NotFoundError as error:
        return _fail(str(error), 1)
    return 0
