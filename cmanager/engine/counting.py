"""What a container uses: what its limiter counts, and what went through its network namespace."""

from __future__ import annotations

import os

import attrs

from ..linux import cgroups, traffic
from ..linux.traffic import Traffic
from ..model.container import Container, Status
from ..model.usage import Usage
from ..plugins import Plugins
from ..seams import Clock


def usage(plugins: Plugins, container: Container) -> Usage:
    """See `Engine.usage`."""
    if not container.status.runs:
        return container.status.usage or Usage()
    found: Usage = plugins.get("limiter", container.providers.limiter).usage(container.id)
    return attrs.evolve(found, network=_network(container.status))


def cpu_seconds(plugins: Plugins, container: Container) -> float | None:
    """See `Engine.cpu_seconds`."""
    limiter = plugins.get("limiter", container.providers.limiter)
    if not container.status.runs or not isinstance(limiter, Clock):
        return usage(plugins, container).cpu_seconds
    return limiter.cpu_seconds(container.id)


def network_of(container: Container) -> int:
    """A number that is the same for those who share a network namespace, 0 for none of its own."""
    try:
        pid = _inside(container.status)
        return traffic.namespace(pid) if pid else 0
    except OSError:
        return 0


def _network(status: Status) -> tuple[Traffic, ...] | None:
    """None for the host's, which are not the container's, and for one that has just ended."""
    try:
        pid = _inside(status)
        return traffic.of_process(pid) if pid else None
    except OSError:
        return None


def _inside(status: Status) -> int:
    """A process in the container's network namespace, 0 where that is the host's. Raises OSError."""
    if status.init is None or status.supervisor is None:
        return 0
    host, first = traffic.namespace(status.supervisor.pid), traffic.namespace(status.init.pid)
    if first != host:
        return status.init.pid
    # A runtime's first process may be its monitor, which stays outside.
    own = os.stat(status.netns).st_ino if status.netns else host
    others = cgroups.processes(status.cgroup) if own != host else ()
    return next((pid for pid in others if traffic.namespace(pid) == own), 0)
