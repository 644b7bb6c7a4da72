"""OCI hooks directories: the hooks.d files of Podman and CRI-O (oci-hooks(5), schema 1.0.0), for every container.

[hooks]
amend = ["oci"]

[hooks.oci]
directories = ["/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"]
"""

from __future__ import annotations

from typing import Any

from cmanager import hookimpl
from cmanager.model import Amendment


@hookimpl
def cmanager_amend(spec: dict[str, Any], options: dict[str, Any]) -> Amendment:
    """The hooks whose conditions this container meets."""
    from .directories import hooks

    return Amendment(hooks=hooks(spec, options))
