"""`cmanager image`."""

from __future__ import annotations

import click

from .groups import Nouns
from .main import Settings
from .pruning import prune_options

_SAME = "build history import inspect load pull push save tag".split()
DANGLING = "all dangling images"
UNUSED = "all images without at least one container associated to them"


@click.group(
    cls=Nouns,
    others={"ls": "images", "rm": "rmi", **{name: name for name in _SAME}},
    context_settings={"default_map": {"inspect": {"kind": "image"}}},
)
def command() -> None:
    """Commands for images; all but `prune` have shorter names."""


@command.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="Also those with a name.")
@prune_options
@click.pass_obj
def _prune(settings: Settings, everything: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove images without a name that no container was made from."""
    from .pruning import chosen_images, confirmed, tell

    chosen = chosen_images(filters)
    if confirmed(force, [UNUSED if everything else DANGLING]):
        tell([("Images", settings.engine().prune.images(everything=everything, chosen=chosen))])
