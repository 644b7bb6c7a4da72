"""The two networks that need no link: `host`, which is the host's own, and `none`, a loopback and nothing else."""

from __future__ import annotations

from typing import Any

from cmanager import hookimpl
from cmanager.model import Context, Provider


def _host(context: Context, options: Any) -> Any:
    from .networks import HostNetwork

    return HostNetwork()


def _none(context: Context, options: Any) -> Any:
    from .networks import NoNetwork

    return NoNetwork()


@hookimpl
def cmanager_networks() -> list[Provider]:
    """Two providers, `host` and `none`."""
    return [Provider("host", _host), Provider("none", _none)]
