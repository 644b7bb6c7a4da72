"""systemd-nspawn as a runtime, on hosts with and without systemd running."""

from __future__ import annotations

from typing import Any

from cmanager import hookimpl
from cmanager.linux.values import frozen
from cmanager.model import Context, Provider


@frozen
class Options:
    """path: of the program."""

    path: str = "systemd-nspawn"


def _nspawn(context: Context, options: Any) -> Any:
    from .runtime import Nspawn

    return Nspawn(context, options.path)


@hookimpl
def cmanager_runtimes() -> list[Provider]:
    """One provider, `nspawn`."""
    return [Provider("nspawn", _nspawn, options=Options)]
