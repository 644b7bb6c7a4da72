"""`cmanager cp`."""

from __future__ import annotations

import sys

import click

from .main import Settings


@click.command()
@click.option("-a", "--archive", is_flag=True, help="Keep owners, setuid bits, capabilities and device nodes.")
@click.option("-L", "--follow-link", "follow", is_flag=True, help="Copy what a link leads to.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
@click.argument("source", metavar="[CONTAINER:]SRC|-")
@click.argument("target", metavar="[CONTAINER:]DEST|-")
@click.pass_obj
def command(settings: Settings, archive: bool, follow: bool, quiet: bool, source: str, target: str) -> int:
    """Copy SRC to DEST, one of which is in a container; - is a tar archive on stdin or stdout.

    SRC/. means what is in a directory. A directory is copied into one that exists, and as one that does not.
    """
    from ..errors import InvalidError, NotFoundError
    from .main import _fail

    from_container, path = _split(source)
    to_container, place = _split(target)
    if from_container and to_container:
        raise InvalidError("copying between containers is not supported, copy to the host first")
    if not from_container and not to_container:
        raise InvalidError("one of the two must be in a container: CONTAINER:PATH")
    files = settings.engine().files
    try:
        if from_container and place == "-":
            _refuse_terminal(1, "write an archive to")
            files.stream_out(from_container, path, 1, follow=follow)
            return 0
        if to_container and path == "-":
            _refuse_terminal(0, "read an archive from")
            done = files.stream_in(to_container, 0, place, archive=archive)
        elif from_container:
            done = files.copy_out(from_container, path, place, archive=archive, follow=follow)
        else:
            done = files.copy_in(to_container, path, place, archive=archive, follow=follow)
    except NotFoundError as error:
        return _fail(str(error), 1)
    if not quiet:
        from .output.human import size
        from .output.safe import printable

        print(printable(f"Successfully copied {size(done.size)} to {target}"), file=sys.stderr)
        if done.left_out:
            print(f"cmanager: {done.left_out} sockets or device nodes were left out (-a copies nodes)", file=sys.stderr)
    return 0


def _split(argument: str) -> tuple[str, str]:
    """Container and path, as Docker splits them: "" for a path of the host's, which / and . begin."""
    container, colon, path = argument.partition(":")
    if argument.startswith(("/", ".")) or not colon:
        return "", argument
    return container, path


def _refuse_terminal(fd: int, doing: str) -> None:
    import os

    from ..errors import InvalidError

    if os.isatty(fd):
        raise InvalidError(f"refusing to {doing} a terminal, use a pipe or a file")
