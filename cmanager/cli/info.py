"""`cmanager info`."""

from __future__ import annotations

import os
from collections import Counter

import click

from .main import Settings


@click.command()
@click.option("-f", "--format", "template", default="", help="json, or a Go template.")
@click.pass_obj
def command(settings: Settings, template: str) -> None:
    """Show where things are, which plugins are used, and how many containers and images there are."""
    import json

    from .. import __version__
    from ..engine import abilities
    from ..linux import cgroups
    from .output.abilities import document, lines
    from .output.gotemplate import render
    from .output.safe import printable, printable_lines

    engine = settings.engine()
    runtimes = abilities.table(engine.plugins)
    states = Counter(container.status.state for container in engine.list())
    versions = sorted({hierarchy.version for hierarchy in cgroups.hierarchies()})
    facts = {
        "ServerVersion": __version__,
        "Containers": sum(states.values()),
        "ContainersRunning": states["running"],
        "ContainersPaused": states["paused"],
        "ContainersStopped": states["stopped"] + states["lost"],
        "Images": len({entry.image.id for entry in engine.image_entries()}),
        "Driver": engine.plugins.default("storage"),
        "DefaultRuntime": engine.plugins.default("runtime"),
        "Runtimes": document(runtimes),
        "Plugins": dict(engine.plugins.config.defaults),
        "CgroupVersion": " and ".join(map(str, versions)),
        "KernelVersion": os.uname().release,
        "NCPU": os.cpu_count(),
        "Root": engine.paths.root,
        "RunRoot": engine.paths.run_root,
        "Configuration": list(engine.plugins.config.files),
    }
    if template == "json":
        click.echo(json.dumps(facts))
    elif template:
        click.echo(printable_lines(render(template, facts)))
    else:
        for key, value in facts.items():
            if key == "Runtimes":
                click.echo(f"{key}:")
                for line in lines(runtimes):
                    click.echo(f"  {printable(line)}")
                continue
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            shown = ", ".join(shown) if isinstance(shown, list) else shown
            click.echo(f"{key}: {printable(str(shown))}")
