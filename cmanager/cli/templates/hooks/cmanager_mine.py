"""Plugin mine: tells each container that it knows of it, and writes down what happens to containers."""

from __future__ import annotations

from typing import Any

from cmanager import hookimpl
from cmanager.errors import InvalidError
from cmanager.model import Amendment, Event


@hookimpl
def cmanager_amend(spec: dict[str, Any]) -> Amendment:
    """One variable more; a container that asks for too much is refused."""
    if "/" in (mount.get("source") for mount in spec.get("mounts", ())):
        raise InvalidError("the root directory of the host is not mounted into containers")
    return Amendment(env={"KNOWN_TO": "mine"})


@hookimpl
def cmanager_event(event: Event, options: dict[str, Any]) -> None:
    """One line for each event of a container, in the file that the option `log` names."""
    if event.kind == "container":
        with open(options.get("log", "/var/log/mine.log"), "a", encoding="utf-8") as file:
            file.write(f"{event.time:.3f} {event.action} {event.id} {event.attributes.get('name', '')}\n")
