"""`cmanager system`."""

from __future__ import annotations

import click

from .groups import Nouns
from .image import DANGLING, UNUSED
from .listoptions import list_options, typed
from .main import Settings
from .pruning import prune_options

ANONYMOUS = "all anonymous volumes not used by at least one container"


@click.group(cls=Nouns, others={"info": "info", "events": "events"})
def command() -> None:
    """What cmanager takes of this machine, and how to have it back."""


@command.command("df")
@click.option("-v", "--verbose", is_flag=True, help="Every image, container and volume.")
@list_options
@click.pass_obj
def _df(settings: Settings, verbose: bool, template: str, output: str, noheading: bool) -> None:
    """Show how much of the disk images, containers and volumes take."""
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
@click.option("--volumes", is_flag=True, help="Also anonymous volumes that no container uses.")
@prune_options
@click.pass_obj
def _prune(settings: Settings, everything: bool, volumes: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove containers that do not run, then images that no container was made from, and what crashes left."""
    from ..errors import InvalidError
    from .output.volumes import prune_filters
    from .pruning import chosen_containers, chosen_images, confirmed, tell

    containers, images = chosen_containers(filters), chosen_images(filters)
    if volumes and any(text.startswith("until") for text in filters):
        raise InvalidError("--volumes and --filter until exclude each other, a volume's age says nothing of its use")
    kept = prune_filters(filters) if volumes else None
    what = ["all stopped containers", UNUSED if everything else DANGLING]
    if not confirmed(force, [what[0], *([ANONYMOUS] if volumes else []), what[1]]):
        return
    prune = settings.engine().prune
    gone = [("Containers", prune.containers(containers))]
    if kept:
        gone.append(("Volumes", prune.volumes(lambda volume: volume.anonymous and kept(volume))))
    tell([*gone, ("Images", prune.images(everything=everything, chosen=images))])


@command.command("unit")
@click.pass_obj
def _unit(settings: Settings) -> None:
    """Print a systemd unit that starts, after a boot, the containers whose restart policies ask for it."""
    from .output.unit import unit

    click.echo(unit(settings.root, settings.run_root, settings.config), nl=False)
