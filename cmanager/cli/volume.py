"""`cmanager volume`."""

from __future__ import annotations

import sys
from typing import Any

import click

from .flags import Group
from .listoptions import list_options, typed
from .main import Settings

_HEADERS = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Mountpoint": "MOUNTPOINT",
    "Scope": "SCOPE",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
    "Anonymous": "ANONYMOUS",
    "Size": "SIZE",
    "Links": "LINKS",
}


@click.group(cls=Group)
def command() -> None:
    """Make, list and remove volumes: directories that outlive the containers that use them."""


@command.command("create")
@click.option("-l", "--label", multiple=True, metavar="KEY[=VALUE]", help="Set a label.")
@click.option("-d", "--driver", default="", metavar="STORAGE", help="Storage plugin that keeps it.")
@click.option(
    "-o", "--opt", multiple=True, metavar="KEY=VALUE", help="For the driver of a storage plugin that has one."
)
@click.argument("name", default="")
@click.pass_obj
def _create(settings: Settings, label: tuple[str, ...], driver: str, opt: tuple[str, ...], name: str) -> None:
    """Make a volume called NAME, or one with a name of its own; print the name."""
    from .request import pair

    options = dict(pair(text) for text in opt)
    made = settings.engine().volumes.create(name, dict(pair(text) for text in label), driver, options)
    click.echo(made.name)


@command.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Names only.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only those that match.")
@click.option("--sort", default="", metavar="[-]KEY[,…]", help="name, driver or created.")
@list_options
@click.pass_obj
def _list(
    settings: Settings,
    quiet: bool,
    filters: tuple[str, ...],
    sort: str,
    template: str,
    output: str,
    noheading: bool,
) -> None:
    """List volumes."""
    from .output import sorting, volumes
    from .output import typed as items
    from .output.listing import print_document, print_rows

    in_json = typed(output, template, quiet)
    ordered = sorting.by(sort, volumes.KEYS)
    volumes.volume_filters(filters, frozenset())
    engine = settings.engine()
    listed = engine.volumes.entries()
    _warn(listed.problems)
    chosen = volumes.volume_filters(filters, engine.volumes.used())
    found = ordered([volume for volume in listed.volumes if chosen(volume)])
    if in_json:
        print_document("volumes", [items.volume(volume) for volume in found])
        return
    rows = [volumes.volume_row(volume) for volume in found]
    print_rows(
        rows, ("Driver", "Name"), _HEADERS, template, quiet="Name" if quiet else "", heading=not noheading, fit=False
    )


@command.command("inspect")
@click.option("-f", "--format", "template", default="", help="json, or a Go template.")
@click.argument("names", nargs=-1, required=True)
@click.pass_context
def _inspect(ctx: click.Context, template: str, names: tuple[str, ...]) -> Any:
    """Show everything known of the volumes called NAMES, as a JSON array."""
    from .inspect import command as inspect

    return ctx.invoke(inspect, template=template, size=False, kind="volume", names=names)


@command.command("rm")
@click.option("-f", "--force", is_flag=True, help="What is missing is no error.")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def _remove(settings: Settings, force: bool, names: tuple[str, ...]) -> int:
    """Remove the volumes called NAMES with their files; refused for one that a container uses, also a stopped one."""
    from ..errors import NotFoundError
    from .many import for_each

    volumes = settings.engine().volumes

    def remove(name: str) -> None:
        try:
            volumes.remove(name)
        except NotFoundError:
            if not force:
                raise

    return for_each(names, remove)


@command.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that have a name.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="label=KEY[=VALUE]", help="Only those that match.")
@click.pass_obj
def _prune(settings: Settings, everything: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove the anonymous volumes that no container uses, not even a stopped one."""
    from .output.human import size
    from .output.volumes import prune_filters

    wanted = prune_filters(filters)
    volumes = settings.engine().volumes
    which = "all volumes" if everything else "all anonymous volumes"
    if not force and not _sure(f"This removes {which} that no container uses. Go on? [y/N] "):
        click.echo("Total reclaimed space: 0B")
        return
    gone, freed = volumes.prune(lambda volume: (everything or volume.anonymous) and wanted(volume))
    if gone:
        click.echo("\n".join(("Deleted Volumes:", *gone, "")))
    click.echo(f"Total reclaimed space: {size(freed)}")


def _sure(question: str) -> bool:
    """Ask whoever is at stdin; whoever says nothing does not agree."""
    click.echo(question, nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _warn(problems: tuple[str, ...]) -> None:
    from .output.safe import printable

    for problem in problems:
        print(f"cmanager: warning: {printable(problem)}", file=sys.stderr)
