"""Plugin mine: tells each container that it knows of it, and writes down what happens to containers."""

from __future__ import annotations

from typing import Any

from cmanager import hookimpl
from cmanager.errors import InvalidError
from cmanager.model import Amendment, Event

LOG = "/var/log/mine.log"


@hookimpl
def cmanager_amend(spec: dict[str, Any]) -> Amendment:
    """One variable more; a container that asks for too much is refused."""
    if "/" in (mount.get("source") for mount in spec.get("mounts", ())):
        raise InvalidError("the root directory of the host is not mounted into containers")
    return Amendment(env={"KNOWN_TO": "mine"})


@hookimpl
def cmanager_event(event: Event) -> None:
    """One line for each event of a container."""
    if event.kind == "container":
        with open(LOG, "a", encoding="utf-8") as file:
            file.write(f"{event.time:.3f} {event.action} {event.id} {event.attributes.get('name', '')}\n")
