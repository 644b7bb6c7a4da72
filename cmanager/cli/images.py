"""`cmanager images`."""

from __future__ import annotations

import time

import click

from .main import Settings


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Also images that lost their last name.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--digests", is_flag=True, help="Show digests.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only those that match.")
@click.option("--format", "template", default="", help="json, or a Go template.")
@click.argument("reference", required=False)
@click.pass_obj
def command(
    settings: Settings,
    everything: bool,
    quiet: bool,
    digests: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    template: str,
    reference: str | None,
) -> None:
    """List the images that are stored here, all or those named like REFERENCE."""
    from .output.listing import print_rows
    from .output.rows import IMAGE_COLUMNS, IMAGE_HEADERS, image_filters, image_row

    chosen = image_filters((*filters, *([f"reference={reference}"] if reference else [])))
    asked = any(text.startswith("dangling") for text in filters)
    found = [e for e in settings.engine().image_entries() if (e.reference or everything or asked) and chosen(e)]
    columns = ("Repository", "Tag", "Digest", *IMAGE_COLUMNS[2:]) if digests else IMAGE_COLUMNS
    rows = [image_row(entry, time.time(), trunc=not no_trunc) for entry in found]
    print_rows(rows, columns, IMAGE_HEADERS, template, quiet="ID" if quiet else "")
