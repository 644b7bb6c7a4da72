"""`cmanager start`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-a", "--attach", is_flag=True, help="Attach to its output, exit with its code.")
@click.option("-i", "--interactive", is_flag=True, help="Attach stdin too, where the container was created with -i.")
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, attach: bool, interactive: bool, containers: tuple[str, ...]) -> int:
    """Start CONTAINERS that were created or stopped."""
    from ..engine import Session
    from ..errors import InvalidError
    from .many import for_each

    engine = settings.engine()
    if not attach and not interactive:
        return for_each(containers, lambda word: engine.start(word) and None)
    if len(containers) > 1:
        raise InvalidError("cannot attach to more than one container")
    started = engine.start(containers[0], attached=True)
    assert isinstance(started, Session), "asked for"
    return started.pump(0 if interactive else -1, 1, 2, forward_signals=True)
