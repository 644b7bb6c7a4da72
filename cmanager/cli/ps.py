"""`cmanager ps`."""

from __future__ import annotations

import time

import click

from .main import Settings


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that do not run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only those that match.")
@click.option("--format", "template", default="", help="json, or a Go template.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("-n", "--last", type=int, default=-1, help="The last N created, whatever their state.")
@click.option("-l", "--latest", is_flag=True, help="The last one created.")
@click.option("-s", "--size", is_flag=True, help="Also what each wrote, and that with its image.")
@click.pass_obj
def command(
    settings: Settings,
    everything: bool,
    quiet: bool,
    filters: tuple[str, ...],
    template: str,
    no_trunc: bool,
    last: int,
    latest: bool,
    size: bool,
) -> None:
    """List containers."""
    from .output.listing import print_rows
    from .output.rows import CONTAINER_COLUMNS, CONTAINER_HEADERS, container_filters, container_row, size_text

    chosen = container_filters(filters)
    engine = settings.engine()
    now = time.time()
    # Before what runs is picked: `before` and `since` may name a container that does not.
    found = chosen(engine.list())
    last = 1 if latest else last
    asked_state = any(f.partition("=")[0].rstrip("!") in ("status", "exited") for f in filters)
    if not everything and not asked_state and last < 0:
        found = [c for c in found if c.status.state in ("running", "paused")]
    # As in Docker, a template that shows the size asks for it.
    measured = size or ".Size" in template
    rows = []
    for container in found[: last if last >= 0 else None]:
        sizes = engine.size(container) if measured else None
        shown = size_text(sizes.writable, sizes.virtual) if sizes else "0B"
        rows.append(container_row(container, now, trunc=not no_trunc, shown_size=shown))
    columns = (*CONTAINER_COLUMNS[:-1], "Size", CONTAINER_COLUMNS[-1]) if size else CONTAINER_COLUMNS
    print_rows(rows, columns, CONTAINER_HEADERS, template, quiet="ID" if quiet else "")
