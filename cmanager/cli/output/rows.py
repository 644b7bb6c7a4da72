"""Containers and images as rows of a list: every field is text, named as in Docker's templates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime

from ...model import Container, ImageEntry
from . import filters
from .human import ago, duration, local_time, size

CONTAINER_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", "Runtime")
CONTAINER_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "CreatedAt": "CREATED AT",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "Networks": "NETWORKS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Runtime": "RUNTIME",
}
IMAGE_COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
IMAGE_HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
}
_SHORT_ID, _SHORT_COMMAND = 12, 20


def state_word(container: Container) -> str:
    """Docker's word for a state: what ended is "exited"."""
    return {"stopped": "exited", "lost": "exited"}.get(container.status.state, container.status.state)


def container_row(container: Container, now: float, *, trunc: bool = True) -> dict[str, str]:
    """One line of `ps`. now: epoch seconds; trunc: shorten the id and the command."""
    request = container.request
    command = json.dumps(" ".join(container.argv), ensure_ascii=False)
    if trunc and len(command) > _SHORT_COMMAND + 2:
        command = command[:_SHORT_COMMAND] + '…"'
    sources = [mount.source for mount in request.mounts if mount.is_bind]
    return {
        "ID": container.id[:_SHORT_ID] if trunc else container.id,
        "Image": request.image,
        "Command": command,
        "CreatedAt": local_time(container.created_at),
        "RunningFor": ago(container.created_at, now),
        "Status": status_text(container, now),
        "State": state_word(container),
        "Ports": ", ".join(container.status.attachment.ports) if container.status.attachment else "",
        "Names": container.name,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(request.labels.items())),
        "Mounts": ",".join(sources),
        "Networks": request.network,
        "LocalVolumes": "0",
        "Runtime": container.providers.runtime,
    }


def status_text(container: Container, now: float) -> str:
    """ "Up 3 minutes", "Exited (7) About an hour ago", "Created"."""
    status = container.status
    if status.state == "created":
        return "Created"
    if status.state in ("running", "paused"):
        text = f"Up {duration(now - status.started_at)}"
        return f"{text} (Paused)" if status.state == "paused" else text
    code = 0 if status.exit_code is None else status.exit_code
    lost = " (supervisor lost)" if status.state == "lost" else ""
    return f"Exited ({code}) {ago(status.finished_at, now)}{lost}"


def container_filters(given: Iterable[str]) -> Callable[[list[Container]], list[Container]]:
    """What `ps --filter` keeps of a list, newest first. InvalidError for an unknown key or a bad value."""
    bounds = [text for text in given if text.partition("=")[0] in ("before", "since")]
    keep = filters.parse((text for text in given if text not in bounds), _TESTS)

    def chosen(containers: list[Container]) -> list[Container]:
        kept = [container for container in containers if keep(container)]
        for bound in bounds:
            key, _, word = bound.partition("=")
            edge = _named(containers, word)
            if key == "before":
                kept = [c for c in kept if c.created_at < edge.created_at]
            else:
                kept = [c for c in kept if c.created_at > edge.created_at]
        return kept

    return chosen


def _named(containers: list[Container], word: str) -> Container:
    from ...errors import NotFoundError

    for container in containers:
        if word and (container.name == word or container.id.startswith(word)):
            return container
    raise NotFoundError(f"no such container: {word!r}")


def _exited(container: Container, value: str) -> bool:
    return container.status.state in ("stopped", "lost") and str(container.status.exit_code) == value


def _status(container: Container, value: str) -> bool:
    from ...errors import InvalidError

    known = ("created", "running", "paused", "exited", "restarting", "removing", "dead", "stopped", "lost")
    if value not in known:
        raise InvalidError(f"invalid --filter 'status={value}', expected one of {', '.join(known)}")
    return value in (state_word(container), container.status.state)


def _ancestor(container: Container, value: str) -> bool:
    name = container.request.image
    return value in (name, name.partition(":")[0], container.image_digest) or (
        len(value) >= 4 and container.image_id.removeprefix("sha256:").startswith(value.removeprefix("sha256:"))
    )


def _volume(container: Container, value: str) -> bool:
    return any(value in (mount.source, mount.target) for mount in container.request.mounts)


_TESTS: dict[str, filters.Test[Container]] = {
    "id": lambda c, value: bool(filters.expression(value).search(c.id)),
    "name": lambda c, value: bool(filters.expression(value).search(c.name)),
    "label": lambda c, value: filters.label(c.request.labels, value),
    "exited": _exited,
    "status": _status,
    "ancestor": _ancestor,
    "volume": _volume,
    "network": lambda c, value: c.request.network == value,
    "runtime": lambda c, value: c.providers.runtime == value,
    "command": lambda c, value: bool(filters.expression(value).search(" ".join(c.argv))),
    # Handled beside the others, as they compare with another container.
    "before": lambda c, value: True,
    "since": lambda c, value: True,
}


def image_row(entry: ImageEntry, now: float, *, trunc: bool = True) -> dict[str, str]:
    """One line of `images`."""
    image = entry.image
    repository, tag = split_reference(entry.reference)
    created = created_at(image.created)
    digits = image.id.removeprefix("sha256:")
    return {
        "Repository": repository,
        "Tag": tag,
        "ID": digits[:_SHORT_ID] if trunc else image.id,
        "Digest": image.digest,
        "CreatedSince": ago(created, now) if created else "N/A",
        "CreatedAt": local_time(created) if created else "N/A",
        "Size": size(image.size),
    }


def image_filters(given: Iterable[str]) -> Callable[[ImageEntry], bool]:
    """What `images --filter` keeps."""
    return filters.parse(given, _IMAGE_TESTS)


def split_reference(reference: str) -> tuple[str, str]:
    """Repository and tag; `<none>` where there is none."""
    if not reference:
        return "<none>", "<none>"
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, "<none>")


def created_at(text: str) -> float:
    """Epoch seconds of an image's RFC 3339 date, 0 for none."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def _reference(entry: ImageEntry, value: str) -> bool:
    from fnmatch import fnmatchcase

    repository, _ = split_reference(entry.reference)
    return fnmatchcase(entry.reference, value) or fnmatchcase(repository, value)


_IMAGE_TESTS: dict[str, filters.Test[ImageEntry]] = {
    "reference": _reference,
    "dangling": lambda entry, value: (value == "true") == (not entry.reference),
    "label": lambda entry, value: filters.label(entry.image.config.labels, value),
}
