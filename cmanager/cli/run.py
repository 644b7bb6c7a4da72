"""`cmanager run`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from .main import Settings
from .options import CONTEXT, attach_options, container_options, telling_option, time_option

if TYPE_CHECKING:
    from ..model import Usage


@click.command(context_settings=CONTEXT)
@click.option("-d", "--detach", is_flag=True, help="Print the id and leave it running.")
@click.option(
    "-a",
    "--attach",
    "streams",
    multiple=True,
    type=click.Choice(["stdin", "stdout", "stderr"], case_sensitive=False),
    help="Attach to this stream; without it to all.",
)
@click.option("--cidfile", default="", metavar="FILE", help="Write the container's id to a new file.")
@click.option(
    "--progress", type=click.Choice(["auto", "plain", "json", "none"]), default="auto", help="How pulls show."
)
@telling_option("--usage", "usage", "Tell on stderr what it used when it has ended.")
@time_option
@attach_options
@container_options
@click.pass_obj
def command(
    settings: Settings,
    /,
    detach: bool,
    streams: tuple[str, ...],
    cidfile: str,
    progress: str,
    usage: str | None,
    timed: str | None,
    quiet: bool,
    detach_keys: bytes,
    sig_proxy: bool,
    **given: Any,
) -> int:
    """Create a container from IMAGE and run COMMAND in it."""
    settings.keep_time(timed, "create")
    from ..engine import Session
    from ..errors import InvalidError
    from ..model import Container
    from .attached import pump, window
    from .created import announced_cidfile, print_warnings
    from .output.progress import shown
    from .request import build

    engine = settings.engine()
    request = build(**given)
    if streams and detach:
        raise InvalidError("--attach and --detach exclude each other, give one")
    if usage and detach:
        raise InvalidError("--usage and --detach exclude each other: what it used is in `cmanager inspect` later")
    if "stdin" in streams and not request.interactive:
        raise InvalidError("--attach stdin needs --interactive")
    interactive = request.interactive and (not streams or "stdin" in streams)
    size = window(tty=request.tty and not detach, interactive=interactive)
    with announced_cidfile(cidfile) as write_id, shown("none" if quiet else progress) as show:

        def created(container: Container) -> None:
            write_id(container.id)
            print_warnings(container)
            settings.enter("start")

        started = engine.run(
            request, attached=not detach, window=size, progress=show, created=created, replace=given["replace"]
        )
    if not isinstance(started, Session):
        click.echo(started.id)
        return 0
    if streams and not {"stdout", "stderr"}.intersection(streams):
        click.echo(started.container.id)  # as in Docker: nothing else will be seen of it
    code = pump(
        settings, started, interactive=interactive, detach_keys=detach_keys, sig_proxy=sig_proxy, streams=streams
    )
    if usage and started.usage:
        _tell(started.usage, usage)
    return code


def _tell(found: Usage, style: str) -> None:
    from ..model.codec import to_data
    from .output.usage import summary

    text = json.dumps(to_data(found)) if style == "json" else f"cmanager: used {summary(found)}"
    print(text, file=sys.stderr)
