"""`cmanager update`."""

from __future__ import annotations

import sys
from typing import Any

import click

from .limits import OPTIONS
from .main import Settings


@click.option("--restart", default="", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped.")
@click.option("-f", "--force", is_flag=True, help="Also a memory limit below what is in use.")
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def _update(settings: Settings, /, restart: str, force: bool, containers: tuple[str, ...], **given: Any) -> int:
    """Change limits and restart policy of CONTAINERS, at once where they run."""
    from ..engine import Update
    from ..errors import InvalidError
    from .limits import parsed, rate
    from .many import for_each
    from .output.safe import printable
    from .policies import restart_policy

    limits = parsed(given)
    if not limits.given() and not restart and not given["network_rate"]:
        raise InvalidError("update needs something to change, see cmanager update --help")
    change = Update(
        limits,
        restart_policy(restart) if restart else None,
        rate(given["network_rate"]),
        given["limits"] == "lax",
    )
    engine = settings.engine()

    def update(word: str) -> None:
        for warning in engine.update(word, change, force=force):
            print(f"cmanager: warning: {printable(warning)}", file=sys.stderr)

    return for_each(containers, update)


for _option in reversed(OPTIONS):
    _update = _option(_update)
command = click.command("update")(_update)
