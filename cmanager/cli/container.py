"""`cmanager container`."""

from __future__ import annotations

import click

from .groups import Nouns
from .main import Settings
from .pruning import prune_options

_SAME = (
    "attach commit cp create diff exec export inspect kill logs pause port rename restart rm run start stats stop "
    "top unpause update wait"
).split()


@click.group(
    cls=Nouns,
    others={"ls": "ps", **{name: name for name in _SAME}},
    context_settings={"default_map": {"inspect": {"kind": "container"}}},
)
def command() -> None:
    """Commands for containers; all but `prune` have shorter names."""


@command.command("prune")
@prune_options
@click.pass_obj
def _prune(settings: Settings, force: bool, filters: tuple[str, ...]) -> None:
    """Remove all containers that do not run."""
    from .pruning import chosen_containers, confirmed, tell

    chosen = chosen_containers(filters)
    if confirmed(force, ["all stopped containers"]):
        tell([("Containers", settings.engine().prune.containers(chosen))])
