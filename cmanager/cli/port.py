"""`cmanager port`."""

from __future__ import annotations

import click

from .main import Settings


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("container")
@click.argument("port", metavar="[PORT[/PROTOCOL]]", default="")
@click.pass_obj
def command(settings: Settings, container: str, port: str) -> int:
    """List the ports of CONTAINER that are published, or where one of them is."""
    from ..errors import InvalidError, NotFoundError
    from .main import _fail
    from .output.ports import bindings
    from .ports import exposed

    try:
        found = bindings(settings.engine().inspect(container))
    except NotFoundError as error:
        return _fail(str(error), 1)
    if not port:
        for inside, places in found.items():
            for place in places:
                click.echo(f"{inside} -> {place}")
        return 0
    wanted = exposed(port)
    if len(wanted) != 1:
        raise InvalidError(f"invalid port {port!r}, expected one such as 80 or 80/udp")
    if wanted[0] not in found:
        return _fail(f"no public port {wanted[0]!r} published for {container}", 1)
    for place in found[wanted[0]]:
        click.echo(place)
    return 0
