"""Items of `--output json`: numbers are numbers, bytes are integers, times are RFC 3339 or null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...model import ImageEntry, Volume
from ...model.codec import to_data
from .human import rfc3339
from .rows import created_at, split_reference, state_word

if TYPE_CHECKING:
    from ...model import Container
    from .rows import Listed


def container(listed: Listed[Container]) -> dict[str, Any]:
    """An item of `cmanager.ps/1`."""
    found, status = listed.container, listed.container.status
    item = {
        "id": found.id,
        "name": found.name,
        "image": found.request.image,
        "image_digest": found.image_digest,
        "command": list(found.argv),
        "created_at": _time(found.created_at),
        "started_at": _time(status.started_at),
        "finished_at": _time(status.finished_at),
        "state": state_word(found),
        "lost": status.state == "lost",
        "exit_code": status.exit_code,
        "oom_killed": status.oom_killed,
        "error": status.error,
        "pid": status.init.pid if status.init else None,
        "runtime": found.providers.runtime,
        "orphaned": list(listed.orphaned),
        "network": found.request.network,
        "addresses": list(status.attachment.addresses) if status.attachment else [],
        "pod": to_data(found.request.member),
        "ports": to_data(status.attachment.ports) if status.attachment else [],
        "mounts": [
            {"type": mount.type, "source": mount.source, "target": mount.target, "read_only": "ro" in mount.options}
            for mount in found.request.mounts
        ],
        "labels": dict(found.request.labels),
    }
    if listed.size:
        item |= {"size_bytes": listed.size.writable, "virtual_size_bytes": listed.size.virtual}
    if listed.namespaces is not None:
        item["namespaces"] = listed.namespaces
    return item


def image(entry: ImageEntry) -> dict[str, Any]:
    """An item of `cmanager.images/1`."""
    found = entry.image
    repository, tag = split_reference(entry.reference)
    return {
        "id": found.id,
        "digest": found.digest,
        "reference": entry.reference or None,
        "repository": None if repository == "<none>" else repository,
        "tag": None if tag == "<none>" else tag,
        "created_at": _time(created_at(found.created) or 0),
        "size_bytes": found.size,
        "architecture": found.architecture,
        "os": found.os,
        "labels": dict(found.config.labels),
    }


def volume(found: Volume) -> dict[str, Any]:
    """An item of `cmanager.volumes/1`. problem: why it cannot be used, null for one that can."""
    return {
        "name": found.name,
        "driver": found.driver,
        "mountpoint": found.mountpoint,
        "created_at": _time(found.created_at),
        "anonymous": found.anonymous,
        "labels": dict(found.labels),
        "problem": found.problem or None,
    }


def _time(seconds: float) -> str | None:
    return rfc3339(seconds) if seconds else None
