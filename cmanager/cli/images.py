"""`cmanager images`."""

from __future__ import annotations

import time

import click

from .listoptions import list_options, typed
from .main import Settings


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Also images that lost their last name.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--digests", is_flag=True, help="Show digests.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only those that match.")
@click.option("--sort", default="", metavar="[-]KEY[,…]", help="repository, tag, id, created or size.")
@list_options
@click.argument("reference", required=False)
@click.pass_obj
def command(
    settings: Settings,
    everything: bool,
    quiet: bool,
    digests: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    sort: str,
    template: str,
    output: str,
    noheading: bool,
    reference: str | None,
) -> None:
    """List the images that are stored here, all or those named like REFERENCE."""
    from .output import sorting
    from .output import typed as items
    from .output.listing import print_document, print_rows
    from .output.rows import IMAGE_COLUMNS, IMAGE_HEADERS, IMAGE_KEYS, image_filters, image_row

    in_json = typed(output, template, quiet)
    ordered = sorting.by(sort, IMAGE_KEYS)
    chosen = image_filters((*filters, *([f"reference={reference}"] if reference else [])))
    asked = any(text.startswith("dangling") for text in filters)
    entries = settings.engine().image_entries()
    found = ordered([entry for entry in entries if (entry.reference or everything or asked) and chosen(entry)])
    if in_json:
        print_document("images", [items.image(entry) for entry in found])
        return
    columns = ("Repository", "Tag", "Digest", *IMAGE_COLUMNS[2:]) if digests else IMAGE_COLUMNS
    rows = [image_row(entry, time.time(), trunc=not no_trunc) for entry in found]
    print_rows(
        rows, columns, IMAGE_HEADERS, template, quiet="ID" if quiet else "", heading=not noheading, fit=not no_trunc
    )
