"""`cmanager gc`."""

from __future__ import annotations

import sys

import click

from .main import Settings


@click.command()
@click.option("--pools", is_flag=True, help="Also the networks and cgroups that are kept ready for containers to come.")
@click.pass_obj
def command(settings: Settings, pools: bool) -> int:
    """Return whatever crashes left, and layers and blobs that no image and no container needs."""
    from .output.human import size
    from .output.safe import printable

    done = settings.engine().collect(pools=pools)
    for id in done.containers:
        click.echo(f"Undone: {id}")
    click.echo(f"Freed: {size(done.bytes)}")
    for problem in done.problems:
        print(f"cmanager: {printable(problem)}", file=sys.stderr)
    return 1 if done.problems else 0
