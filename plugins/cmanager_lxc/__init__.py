"""The lxc runtime: an OCI bundle as an LXC configuration, driven through lxc-execute and lxc-attach."""

from __future__ import annotations

from typing import Any

from cmanager import hookimpl
from cmanager.model import Context, Provider


def _lxc(context: Context, options: Any) -> Any:
    from .runtime import Lxc

    return Lxc(context.state_dir, context.run_dir)


@hookimpl
def cmanager_runtimes() -> list[Provider]:
    """One provider, `lxc`."""
    return [Provider("lxc", _lxc)]
