"""`cmanager system`."""

from __future__ import annotations

import click

from .groups import Nouns
from .image import DANGLING, UNUSED
from .listoptions import list_options, typed
from .main import Settings
from .pruning import prune_options


@click.group(cls=Nouns, others={"info": "info", "events": "events"})
def command() -> None:
    """What cmanager takes of this machine, and how to have it back."""


@command.command("df")
@click.option("-v", "--verbose", is_flag=True, help="Every image and container.")
@list_options
@click.pass_obj
def _df(settings: Settings, verbose: bool, template: str, output: str, noheading: bool) -> None:
    """Show how much of the disk images and containers take."""
    from ..errors import InvalidError
    from .output import disk
    from .output.listing import print_document, print_rows

    in_json = typed(output, template)
    if verbose and template:
        raise InvalidError("--verbose and --format exclude each other, give one")
    usage = settings.engine().disk_usage()
    if in_json:
        print_document("df", disk.items(usage, verbose))
    elif verbose:
        for title, rows, headers in disk.sections(usage):
            click.echo(f"{title} space usage:\n")
            print_rows(rows, tuple(headers), headers, "", heading=not noheading)
            click.echo()
    else:
        rows = disk.rows(usage)
        print_rows(rows, tuple(disk.HEADERS), disk.HEADERS, template, heading=not noheading)


@command.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="Also images with a name that no container uses.")
@prune_options
@click.pass_obj
def _prune(settings: Settings, everything: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove containers that do not run, then images that no container was made from, and what crashes left."""
    from .pruning import chosen_containers, chosen_images, confirmed, tell

    containers, images = chosen_containers(filters), chosen_images(filters)
    if not confirmed(force, ["all stopped containers", UNUSED if everything else DANGLING]):
        return
    prune = settings.engine().prune
    gone = prune.containers(containers)
    tell([("Containers", gone), ("Images", prune.images(everything=everything, chosen=images))])
