"""Docker volume plugins: `docker:NAME` is the plugin that Docker would find as NAME, spoken to as Docker does (v1)."""

from __future__ import annotations

from typing import Any

from attrs import field
from attrs.validators import gt

from cmanager import hookimpl
from cmanager.linux.values import frozen
from cmanager.model import Context, Provider


@frozen
class Options:
    """What `[storage."docker:NAME"]` may say, and `[storage."docker:*"]` for all of them.

    sockets: directories with sockets; specs: directories with .spec and .json files, which say where a socket is;
    timeout: seconds that the plugin has to answer what it knows; slow_timeout: to make, mount, unmount or remove.
    """

    sockets: tuple[str, ...] = ("/run/docker/plugins",)
    specs: tuple[str, ...] = ("/etc/docker/plugins", "/usr/lib/docker/plugins")
    timeout: float = field(default=5.0, validator=gt(0))
    slow_timeout: float = field(default=30.0, validator=gt(0))


def _docker(context: Context, options: Any) -> Any:
    from .volumes import DockerVolumes

    return DockerVolumes(context, options)


@hookimpl
def cmanager_storages() -> list[Provider]:
    """One provider for the family `docker:*`."""
    return [Provider("docker:*", _docker, options=Options)]
