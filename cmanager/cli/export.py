"""`cmanager export`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress

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
        _written(output, lambda fd: files.export(container, fd))
    except NotFoundError as error:
        return _fail(str(error), 1)
    return 0


def _written(path: str, fill: Callable[[int], None]) -> None:
    """Let `fill` write to a descriptor; a regular file at `path` appears whole or not at all. Raises HostError."""
    from ..errors import HostError, NotFoundError

    try:
        regular = not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode)
        place = f"{path}.{os.getpid()}.tmp" if regular else path
        fd = os.open(place, os.O_WRONLY | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if regular else 0), 0o600)
    except FileNotFoundError:
        raise NotFoundError(f"the directory of {path!r} does not exist, make it first") from None
    except OSError as error:
        raise HostError.of("write", path, error) from None
    try:
        fill(fd)
        if regular:
            os.rename(place, path)
    except OSError as error:
        raise HostError.of("write", path, error) from None
    finally:
        os.close(fd)
        if regular:
            with suppress(FileNotFoundError):
                os.unlink(place)
