"""`cmanager start`."""

from __future__ import annotations

import click

from .main import Settings
from .options import attach_options, time_option


@click.command()
@click.option("-a", "--attach", is_flag=True, help="Attach to its output, exit with its code.")
@click.option("-i", "--interactive", is_flag=True, help="Attach stdin too, where the container was created with -i.")
@time_option
@attach_options
@click.option("--all-restartable", is_flag=True, help="Those that a host's restart has ended, by their policies.")
@click.argument("containers", nargs=-1)
@click.pass_obj
def command(
    settings: Settings,
    attach: bool,
    interactive: bool,
    timed: str | None,
    detach_keys: bytes,
    sig_proxy: bool,
    all_restartable: bool,
    containers: tuple[str, ...],
) -> int:
    """Start CONTAINERS that were created or stopped."""
    settings.keep_time(timed, "start")
    from ..engine import Session
    from ..errors import InvalidError
    from .attached import pump, window
    from .many import for_each

    engine = settings.engine()
    if timed and (all_restartable or len(containers) > 1):
        raise InvalidError("--time tells of one container, give one")
    if all_restartable:
        if containers or attach or interactive:
            raise InvalidError("--all-restartable finds its containers by itself, give nothing else")
        containers = tuple(container.id for container in engine.restartable())
    elif not containers:
        raise InvalidError("start needs at least one container, or --all-restartable")
    if not attach and not interactive:
        return for_each(containers, lambda word: engine.start(word) and None)
    if len(containers) > 1:
        raise InvalidError("cannot attach to more than one container")
    request = engine.inspect(containers[0]).request
    interactive = interactive and request.interactive
    size = window(tty=request.tty, interactive=interactive)
    started = engine.start(containers[0], attached=True, window=size)
    assert isinstance(started, Session), "asked for"
    return pump(settings, started, interactive=interactive, detach_keys=detach_keys, sig_proxy=sig_proxy)
