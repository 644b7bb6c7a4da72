"""`cmanager rm`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-f", "--force", is_flag=True, help="Kill running ones; what is missing is no error.")
@click.option("-a", "--all", "everything", is_flag=True, help="All containers that do not run, with -f all.")
@click.option("-v", "--volumes", is_flag=True, help="With its anonymous volumes.")
@click.argument("containers", nargs=-1)
@click.pass_obj
def command(settings: Settings, force: bool, everything: bool, volumes: bool, containers: tuple[str, ...]) -> int:
    """Remove CONTAINERS."""
    from ..errors import InvalidError, NotFoundError
    from .many import for_each

    engine = settings.engine()
    if everything:
        found = engine.list()
        containers = tuple(c.id for c in found if force or not c.status.active)
        containers += tuple(engine.store.corrupt()) if force else ()
    elif not containers:
        raise InvalidError("rm needs at least one container, or --all")

    def remove(word: str) -> None:
        try:
            engine.remove(word, force=force, volumes=volumes)
        except NotFoundError:
            if not force:
                raise

    return for_each(containers, remove)
