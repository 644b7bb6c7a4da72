"""`cmanager attach`."""

from __future__ import annotations

import click

from .main import Settings
from .options import attach_options


@click.command()
@click.option("--no-stdin", is_flag=True, help="Do not attach stdin.")
@attach_options
@click.argument("container")
@click.pass_obj
def command(settings: Settings, no_stdin: bool, detach_keys: bytes, sig_proxy: bool, container: str) -> int:
    """Attach to the running CONTAINER: see its output, type to it, exit with its code."""
    from .attached import pump, window

    engine = settings.engine()
    request = engine.inspect(container).request
    interactive = request.interactive and not no_stdin
    window(tty=request.tty, interactive=interactive)
    return pump(
        settings, engine.attach(container), interactive=interactive, detach_keys=detach_keys, sig_proxy=sig_proxy
    )
