"""`cmanager version`."""

from __future__ import annotations

import os
import platform

import click

from .. import __version__


@click.command()
@click.option("-f", "--format", "template", default="", help="json, or a Go template.")
def command(template: str) -> None:
    """Print the versions of cmanager and of what it stands on."""
    from importlib.metadata import version

    from ..seams import API

    facts = {
        "Version": __version__,
        "ApiVersion": API,
        "Python": platform.python_version(),
        "Kernel": os.uname().release,
        "Arch": platform.machine(),
        "Libraries": {name: version(name) for name in ("attrs", "click", "pluggy", "tomli")},
    }
    if template == "json":
        import json

        click.echo(json.dumps(facts))
    elif template:
        from .output.gotemplate import render

        click.echo(render(template, facts))
    else:
        click.echo(f"cmanager {__version__}, plugin api {API}")
        click.echo(f"python {facts['Python']} on {facts['Arch']}, kernel {facts['Kernel']}")
