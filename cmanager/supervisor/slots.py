"""What a container needs and nobody should wait for: a network namespace on its network, and a cgroup.

A slot is born with a container id, under which all of it is made; the container that takes the slot takes the id, so
what is left of a slot whose keeper was killed is found and undone like what is left of a container. Nothing of it was
ever used by another one.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import Any, Protocol

from attrs import evolve

from ..errors import CmanagerError
from ..linux import netns
from ..linux.process import Process
from ..linux.values import frozen
from ..model.container import Container, RunRequest
from ..model.limits import Cgroup, Limits
from ..model.network import Attachment, Endpoint, Rate
from ..plugins import Plugins
from ..plugins.config import SYSTEM_CONFIG
from ..seams import Ahead
from ..state import Paths, records
from . import steps
from .launch import Launch
from .steps import Step

#: Names of the environment variables that lead to other plugins or options.
_VARIABLES = "CMANAGER_"
_PATIENCE = 5.0  # seconds that undoing a slot may take


@frozen
class Manager:
    """Whose containers a slot can be for. config: the configuration file and what tells it from another version of it,
    or empty; environment: the variables that matter to plugins."""

    root: str
    run_root: str
    config: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def here(cls, paths: Paths, config: str) -> Manager:
        """The one of this process. config: path of the configuration file, "" for the usual search. Raises OSError."""
        found: tuple[str, ...] = ()
        if config or os.path.exists(SYSTEM_CONFIG):
            info = os.stat(config or SYSTEM_CONFIG)
            version = (info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size)
            found = (config or SYSTEM_CONFIG, *map(str, version))
        variables = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
        return cls(paths.root, paths.run_root, found, variables)

    @property
    def paths(self) -> Paths:
        """Where everything of it lies."""
        return Paths(self.root, self.run_root)


@frozen
class Kind:
    """What containers must have in common with the one that a slot was modelled on. network, limiter: providers."""

    manager: Manager
    network: str
    limiter: str
    limits: Limits


@frozen
class Slot:
    """What is ready under a container id, which is in no record yet."""

    id: str
    kind: Kind
    link: Attachment
    cgroup: Cgroup


class Berth(Protocol):
    """A slot with a supervisor that waits for the container. `close` it: then whatever was not launched is undone."""

    @property
    def slot(self) -> Slot: ...

    def recorded(self) -> None:
        """There is a record of the container now: who finds it there need not be kept off by the lock any more."""
        ...

    def launch(self, launch: Launch, report: socket.socket, client: socket.socket | None, lock: int) -> None:
        """Have it supervised; the descriptors stay the caller's. Raises OSError when the supervisor is gone."""
        ...

    def close(self) -> None: ...


class Berths(Protocol):
    """Where berths are to be had."""

    def claim(self, manager: Manager, network: str) -> Berth | None:
        """One for a container on that network; None where none is ready."""
        ...

    def want(self, kind: Kind) -> None:
        """Say of which kind the last container was: the next one may be like it."""
        ...


def plain(request: RunRequest, network: str) -> bool:
    """Whether a link that was made ahead is as good as one made for this request."""
    asked = (request.publish, request.publish_all, request.address, request.mac, request.aliases, request.pod)
    return bool(
        network
        and not any(asked)
        and request.network in ("", network)
        and request.rate == Rate()
        and request.member is None
        and request.namespaces.user in ("", "host")
    )


def kind_of(container: Container, plugins: Plugins, manager: Manager) -> Kind | None:
    """That of slots which would do for another container like this one; None where none would."""
    network = steps.network_name(container)
    if not network or not plain(container.request, network) or container.user_map:
        return None
    provider = plugins.get("network", network)
    if not (provider.isolated and isinstance(provider, Ahead) and provider.ahead):
        return None
    limits = container.request.limits
    return None if limits.parent else Kind(manager, network, container.providers.limiter, limits)


def make(kind: Kind, plugins: Plugins, id: str) -> Slot:
    """Make a slot under this id; after a failure nothing is left. Raises CmanagerError, OSError."""
    made = steps.run(_table(kind, plugins, id))
    return Slot(id, kind, made["link"], made["cgroup"])


def drain(kind: Kind, plugins: Plugins, id: str) -> list[str]:
    """Undo all that was made under an id, also for who failed in the middle; a line for each failure."""
    return steps.unwind(_table(kind, plugins, id))


def dismiss(paths: Paths) -> set[str]:
    """Have every slot undone that is kept for a container to come, and wait for that; returns their ids.

    One whose keeper is dead, or does not heed it, is found by `gc` like anything that nobody records.
    """
    keepers = {}
    for id in records.names(os.path.dirname(paths.slot(""))):
        with suppress(CmanagerError):  # it was claimed meanwhile
            keepers[id] = records.read(paths.slot(id), Process, "cmanager gc")
    for keeper in keepers.values():
        keeper.send(signal.SIGUSR1)
    return {id for id, keeper in keepers.items() if keeper.wait_gone(_PATIENCE)}


def filled(table: list[Step], slot: Slot, container: Container) -> list[Step]:
    """The start table of the container that has the slot's id: what is ready is taken, not made."""
    ready: dict[str, Any] = {"netns": None, "link": slot.link, "cgroup": slot.cgroup}
    if (container.request.limits, container.providers.limiter) != (slot.kind.limits, slot.kind.limiter):
        del ready["cgroup"]  # making it removes the one that is there
    return [evolve(step, do=_give(ready[step.name])) if step.name in ready else step for step in table]


def _give(value: Any) -> Any:
    return lambda: value


def _table(kind: Kind, plugins: Plugins, id: str) -> list[Step]:
    paths, network = kind.manager.paths, plugins.get("network", kind.network)
    limiter, path = plugins.get("limiter", kind.limiter), paths.netns(id)
    return [
        Step("netns", "pin a network namespace", lambda: netns.pin(path), lambda: netns.unpin(path)),
        Step(
            "link",
            f"attach it to network {kind.network}",
            lambda: network.attach(id, path, Endpoint(id[:12])),
            lambda: network.detach(id, path),
        ),
        Step("cgroup", "make a cgroup", lambda: limiter.create(id, kind.limits), lambda: limiter.remove(id)),
    ]
