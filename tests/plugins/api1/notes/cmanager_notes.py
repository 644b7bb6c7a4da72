"""Hooks notes: adds to every container what an amendment can add, and keeps a list of what happens."""

from __future__ import annotations

import os
from typing import Any

from cmanager import hookimpl
from cmanager.errors import InvalidError
from cmanager.model import Amendment, Event, Mount


@hookimpl
def cmanager_amend(spec: dict[str, Any], options: dict[str, Any]) -> Amendment | None:
    annotations = spec.get("annotations") or {}
    if annotations.get("notes") == "none":
        return None
    if annotations.get("notes") == "never":
        raise InvalidError("an annotation says that this container never runs")
    record = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >> {options['place']}/states"]}
    return Amendment(
        env={"NOTES": "taken"},
        mounts=(Mount("tmpfs", "tmpfs", "/notes", ("nosuid", "nodev", "size=65536")),),
        annotations={"notes.taken": "yes"},
        hooks={"createRuntime": (record,)},
    )


@hookimpl
def cmanager_event(event: Event, options: dict[str, Any]) -> None:
    os.makedirs(options["place"], exist_ok=True)
    with open(f"{options['place']}/events", "a", encoding="utf-8") as file:
        file.write(f"{event.kind} {event.action} {event.attributes.get('name', event.id)}\n")
