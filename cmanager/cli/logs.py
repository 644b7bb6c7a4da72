"""`cmanager logs`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("-n", "--tail", default="all", help="Number of lines from the end.")
@click.option("--since", default="", help="RFC 3339, unix seconds or a duration such as 10m.")
@click.option("--until", default="", help="The same.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line came, in UTC.")
@click.argument("container")
@click.pass_obj
def command(
    settings: Settings, follow: bool, tail: str, since: str, until: str, timestamps: bool, container: str
) -> int:
    """Print what CONTAINER wrote, byte for byte, its stderr to stderr."""
    from ..errors import InvalidError, NotFoundError
    from ..linux.files import write_all
    from .main import _fail
    from .output.human import parse_time

    if tail != "all" and not tail.isdigit():
        raise InvalidError(f"invalid --tail {tail!r}, expected a number or all")
    try:
        records = settings.engine().logs(
            container,
            follow=follow,
            tail=None if tail == "all" else int(tail),
            since=parse_time(since, "--since") if since else None,
            until=parse_time(until, "--until") if until else None,
        )
    except NotFoundError as error:
        return _fail(str(error), 1)
    fresh = {1: True, 2: True}
    for record in records:
        fd = 2 if record.stream == b"stderr" else 1
        stamp = record.time + b" " if timestamps and fresh[fd] else b""
        fresh[fd] = record.data.endswith(b"\n")
        write_all(fd, stamp + record.data)
    return 0
