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
    from importlib.metadata import PackageNotFoundError, version

    from ..seams import API

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not found"

    libraries = {name: installed(name) for name in ("attrs", "click", "pluggy", "pyseccomp", "rich", "tomli")}
    facts = {
        "Version": __version__,
        "ApiVersion": API,
        "Python": platform.python_version(),
        "Kernel": os.uname().release,
        "Arch": platform.machine(),
        "Libraries": libraries,
    }
    if template == "json":
        import json

        click.echo(json.dumps(facts))
    elif template:
        from .output.gotemplate import render
        from .output.safe import printable_lines

        click.echo(printable_lines(render(template, facts)))
    else:
        click.echo(f"cmanager {__version__}, plugin api {API}")
        click.echo(f"python {facts['Python']} on {facts['Arch']}, kernel {facts['Kernel']}")
        click.echo(", ".join(f"{name} {found}" for name, found in libraries.items()))
