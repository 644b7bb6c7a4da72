"""`cmanager stop`."""

from __future__ import annotations

import sys

import click

from .main import Settings


@click.command()
@click.option("-t", "--time", "--timeout", "timeout", type=int, default=None, help="Seconds before it is killed.")
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, timeout: int | None, containers: tuple[str, ...]) -> int:
    """Ask CONTAINERS to stop, and kill them after some seconds."""
    from .many import for_each

    engine = settings.engine()

    def stop(word: str) -> None:
        if engine.stop(word, timeout):
            print(f"cmanager: {word} ignored its stop signal and was killed, `run --init` may help", file=sys.stderr)

    return for_each(containers, stop)
