"""`cmanager start`."""

from __future__ import annotations

import click

from .main import Settings
from .options import attach_options


@click.command()
@click.option("-a", "--attach", is_flag=True, help="Attach to its output, exit with its code.")
@click.option("-i", "--interactive", is_flag=True, help="Attach stdin too, where the container was created with -i.")
@attach_options
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(
    settings: Settings,
    attach: bool,
    interactive: bool,
    detach_keys: bytes,
    sig_proxy: bool,
    containers: tuple[str, ...],
) -> int:
    """Start CONTAINERS that were created or stopped."""
    from ..engine import Session
    from ..errors import InvalidError
    from .attached import pump, window
    from .many import for_each

    engine = settings.engine()
    if not attach and not interactive:
        return for_each(containers, lambda word: engine.start(word) and None)
    if len(containers) > 1:
        raise InvalidError("cannot attach to more than one container")
    request = engine.inspect(containers[0]).request
    interactive = interactive and request.interactive
    size = window(tty=request.tty, interactive=interactive)
    started = engine.start(containers[0], attached=True, window=size)
    assert isinstance(started, Session), "asked for"
    return pump(started, interactive=interactive, detach_keys=detach_keys, sig_proxy=sig_proxy)
