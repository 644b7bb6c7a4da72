"""`cmanager explain`."""

from __future__ import annotations

from typing import Any

import click

from .flags import Group
from .main import Settings
from .options import CONTEXT, container_options


@click.group(cls=Group)
def command() -> None:
    """Show what a command would do, step by step, and change nothing."""


@command.command("run", context_settings=CONTEXT)
@click.option("-d", "--detach", is_flag=True, help="As in run; the steps are the same.")
@click.option("--cidfile", default="", metavar="FILE", help="As in run; no file is written.")
@container_options
@click.pass_obj
def _run(settings: Settings, /, detach: bool, cidfile: str, **given: Any) -> None:
    """The steps of `run`, after the same checks."""
    from .output.safe import printable
    from .request import build

    steps = settings.engine().explain(build(**given))
    width = max(len(name) for name, _ in steps)
    for number, (name, text) in enumerate(steps, 1):
        click.echo(f"{number:>3}  {name:<{width}}  {printable(text)}")
