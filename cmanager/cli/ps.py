"""`cmanager ps`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .listoptions import list_options, typed
from .main import Settings

if TYPE_CHECKING:
    from ..engine import Engine
    from ..engine.usage import Size
    from ..model.glimpse import Shown
    from .output.rows import Listed

C = TypeVar("C", bound="Shown")

KEYS = "id, names, image, command, created, started, finished, status, runtime or size"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that do not run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only those that match.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("-n", "--last", type=int, default=-1, help="The last N created, whatever their state.")
@click.option("-l", "--latest", is_flag=True, help="The last one created.")
@click.option("-s", "--size", is_flag=True, help="Also what each wrote, and that with its image.")
@click.option("--ns", "namespaces", is_flag=True, help="Show the namespaces of each one's first process.")
@click.option("--pod", is_flag=True, help="Show the pod that each one is in.")
@click.option("--sort", default="", metavar="[-]KEY[,…]", help=f"{KEYS}.")
@click.option("--watch", type=click.FloatRange(0.1), default=None, metavar="SECONDS", help="Show it again and again.")
@list_options
@click.pass_obj
def command(
    settings: Settings,
    everything: bool,
    quiet: bool,
    filters: tuple[str, ...],
    no_trunc: bool,
    last: int,
    latest: bool,
    size: bool,
    namespaces: bool,
    pod: bool,
    sort: str,
    watch: float | None,
    template: str,
    output: str,
    noheading: bool,
) -> None:
    """List containers."""
    from .output import sorting
    from .output import typed as items
    from .output.listing import print_document, print_rows, uncollected
    from .output.rows import (
        CONTAINER_COLUMNS,
        CONTAINER_HEADERS,
        CONTAINER_KEYS,
        NAMESPACE_COLUMNS,
        NAMESPACES,
        POD_HEADERS,
        container_filters,
        listed_row,
    )

    in_json = typed(output, template, quiet)
    chosen, ordered = container_filters(filters), sorting.by(sort, CONTAINER_KEYS)
    asked_state = any(f.partition("=")[0].rstrip("!") in ("status", "exited") for f in filters)
    last = 1 if latest else last
    # As in Docker, a template that shows the size asks for it.
    measured = size or ".Size" in template or "size" in sort
    columns: tuple[str, ...] = (*CONTAINER_COLUMNS[:-1], "Size", CONTAINER_COLUMNS[-1]) if size else CONTAINER_COLUMNS
    columns = NAMESPACE_COLUMNS if namespaces else columns
    columns = (*columns, *POD_HEADERS) if pod else columns
    pod = pod or ".Pod" in template
    headers = CONTAINER_HEADERS | ({title: title for title in ("PID", *NAMESPACES)} if namespaces else {})
    headers |= POD_HEADERS if pod else {}
    engine = settings.engine()

    plain = not (filters or sort or template or in_json or measured)

    def picked(found: list[C]) -> list[C]:
        if not everything and not asked_state and last < 0:
            found = [c for c in found if c.status.active]
        return found[: last if last >= 0 else None]

    def show() -> None:
        if plain:
            print_table([_listed(engine, c, None, namespaces, pod) for c in picked(engine.glimpses())])
            return
        # Before what runs is picked: `before` and `since` may name a container that does not.
        found = picked(chosen(engine.list()))
        listed = ordered([_listed(engine, c, engine.size(c) if measured else None, namespaces, pod) for c in found])
        if in_json:
            print_document("ps", [items.container(item) for item in listed])
            return
        print_table(listed)

    def print_table(listed: Sequence[Listed[Any]]) -> None:
        wanted = CONTAINER_HEADERS if template else ("ID",) if quiet else columns
        rows = [listed_row(item, time.time(), trunc=not no_trunc, shown=wanted) for item in listed]
        print_rows(
            rows,
            columns,
            headers,
            template,
            quiet="ID" if quiet else "",
            heading=not noheading,
            fit=not no_trunc,
        )

    with uncollected():
        show()
    while watch is not None:
        time.sleep(watch)
        click.clear()  # does nothing where stdout is no terminal
        show()


def _listed(engine: Engine, container: C, size: Size | None, namespaces: bool, pod: bool) -> Listed[C]:
    from .output.rows import Listed

    init = container.status.init
    return Listed(
        container,
        size,
        (init.namespaces() if init else {}) if namespaces else None,
        pod,
        engine.orphaned(container),
    )
