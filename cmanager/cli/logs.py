"""`cmanager logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .main import Settings

if TYPE_CHECKING:
    from ..engine import Engine


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("-n", "--tail", default="all", help="Number of lines from the end.")
@click.option("--since", default="", help="RFC 3339, unix seconds or a duration such as 10m.")
@click.option("--until", default="", help="The same.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line came, in UTC.")
@click.option("--details", is_flag=True, help="Show the labels and variables of --log-opt labels and env.")
@click.argument("container")
@click.pass_obj
def command(
    settings: Settings,
    follow: bool,
    tail: str,
    since: str,
    until: str,
    timestamps: bool,
    details: bool,
    container: str,
) -> int:
    """Print what CONTAINER wrote, byte for byte, its stderr to stderr."""
    from ..errors import InvalidError, NotFoundError
    from ..linux.files import write_all
    from .main import _fail
    from .output.human import parse_time_ns

    if tail != "all" and not (tail.isascii() and tail.isdigit()):
        raise InvalidError(f"invalid --tail {tail!r}, expected a number or all")
    engine = settings.engine()
    try:
        records = engine.logs(
            container,
            follow=follow,
            tail=None if tail == "all" else int(tail),
            since=parse_time_ns(since, "--since") if since else None,
            until=parse_time_ns(until, "--until") if until else None,
        )
        about = _details(engine, container) if details else b""
    except NotFoundError as error:
        return _fail(str(error), 1)
    fresh = {1: True, 2: True}
    for record in records:
        fd = 2 if record.stream == b"stderr" else 1
        prefix = (record.time + b" " if timestamps else b"") + about if fresh[fd] else b""
        fresh[fd] = record.data.endswith(b"\n")
        write_all(fd, prefix + record.data)
    return 0


def _details(engine: Engine, container: str) -> bytes:
    """`a=b,c=d `, escaped, as Docker shows them; a space where there are none."""
    from urllib.parse import quote_plus

    from ..engine import logs

    found = logs.attributes(engine, container)
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in found.items()).encode() + b" "
