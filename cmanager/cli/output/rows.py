"""Containers and images as rows of a list: every field is text, named as in Docker's templates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ...errors import InvalidError, NotFoundError
from . import filters, mounts, ports
from .human import ago, duration, local_time, parse_time, size

if TYPE_CHECKING:
    from ...engine.usage import Size
    from ...model import Container, ImageEntry
    from ...model.glimpse import Shown

C = TypeVar("C", bound="Shown")
#: Title of each kind of namespace, as Podman has them, and its name in /proc.
NAMESPACES = {
    "CGROUPNS": "cgroup",
    "IPC": "ipc",
    "MNT": "mnt",
    "NET": "net",
    "PIDNS": "pid",
    "USERNS": "user",
    "UTS": "uts",
}
NAMESPACE_COLUMNS = ("ID", "Names", "PID", *NAMESPACES)
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
    "Size": "SIZE",
    "Runtime": "RUNTIME",
    "Orphaned": "ORPHANED",
}
#: What `ps --pod` adds.
POD_HEADERS = {"Pod": "POD ID", "PodName": "PODNAME"}
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
_STATES = ("created", "running", "paused", "exited", "restarting", "removing", "dead", "stopped", "lost")
_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def state_word(container: Shown) -> str:
    """Docker's word for a state: what ended is "exited"."""
    if container.status.restart_at:
        return "restarting"
    return {"stopped": "exited", "lost": "exited"}.get(container.status.state, container.status.state)


class Listed(NamedTuple, Generic[C]):
    """A container in a list, with what was asked of it. size: None when it was not measured; namespaces: None when
    nobody asked, else inode numbers by name in /proc, empty when it does not run; pod: whether somebody asked for that;
    orphaned: its plugins that are not installed, as "SEAM NAME".
    """

    container: C
    size: Size | None = None
    namespaces: dict[str, int] | None = None
    pod: bool = False
    orphaned: tuple[str, ...] = ()


def listed_row(
    listed: Listed[Any], now: float, *, trunc: bool = True, shown: Iterable[str] = CONTAINER_HEADERS
) -> dict[str, str]:
    """One line of `ps`, as `container_row` with what else was asked."""
    container = listed.container
    row = container_row(container, now, trunc=trunc, shown=shown)
    if listed.orphaned:
        row["Orphaned"] = ", ".join(listed.orphaned)
        if "Status" in row:
            row["Status"] += f" (orphaned: {row['Orphaned']})"
    if listed.size:
        row["Size"] = f"{size(listed.size.writable)} (virtual {size(listed.size.virtual)})"
    if listed.namespaces is not None:
        row["PID"] = str(container.status.init.pid) if container.status.init else "0"
        row |= {title: str(listed.namespaces.get(name, "")) for title, name in NAMESPACES.items()}
    if listed.pod:
        member = container.request.member
        row |= (
            {"Pod": member.id[:_SHORT_ID] if trunc else member.id, "PodName": member.name}
            if member
            else dict.fromkeys(POD_HEADERS, "")
        )
    return row


def container_row(
    container: Shown, now: float, *, trunc: bool = True, shown: Iterable[str] = CONTAINER_HEADERS
) -> dict[str, str]:
    """One line of `ps`. now: epoch seconds; trunc: shorten the id and the command; shown: the fields it shall have."""
    return {name: _CELLS[name](container, now, trunc) for name in shown if name in _CELLS}


def _command_text(container: Shown, now: float, trunc: bool) -> str:
    command = " ".join(container.argv)
    if trunc and len(command) > _SHORT_COMMAND:
        command = command[: _SHORT_COMMAND - 1] + "…"
    return json.dumps(command, ensure_ascii=False)


#: What stands in each field: of a container, at a time in epoch seconds, and whether it is shortened.
_CELLS: dict[str, Callable[[Shown, float, bool], str]] = {
    "ID": lambda c, now, trunc: c.id[:_SHORT_ID] if trunc else c.id,
    "Image": lambda c, now, trunc: c.request.image,
    "Command": _command_text,
    "RunningFor": lambda c, now, trunc: ago(c.created_at, now),
    "CreatedAt": lambda c, now, trunc: local_time(c.created_at),
    "Status": lambda c, now, trunc: status_text(c, now),
    "State": lambda c, now, trunc: state_word(c),
    "Ports": lambda c, now, trunc: ports.text(c),
    "Names": lambda c, now, trunc: c.name,
    "Labels": lambda c, now, trunc: ",".join(f"{key}={value}" for key, value in sorted(c.request.labels.items())),
    "Mounts": lambda c, now, trunc: ",".join(mounts.named(c, trunc=trunc)),
    "Networks": lambda c, now, trunc: c.request.network,
    "LocalVolumes": lambda c, now, trunc: str(len(c.request.volumes)),
    "Size": lambda c, now, trunc: "0B",
    "Runtime": lambda c, now, trunc: c.providers.runtime,
    "Orphaned": lambda c, now, trunc: "",
}


def status_text(container: Shown, now: float) -> str:
    """ "Up 3 minutes", "Exited (7) About an hour ago", "Created"."""
    status = container.status
    if status.state == "created":
        return "Created"
    if status.runs:
        text = f"Up {duration(now - status.started_at)}"
        if status.state == "paused":
            return f"{text} (Paused)"
        health = {"starting": " (health: starting)"}
        return text + (health.get(status.health.status, f" ({status.health.status})") if status.health else "")
    code = 0 if status.exit_code is None else status.exit_code
    if status.restart_at:
        return f"Restarting ({code}) {ago(status.finished_at, now)}"
    lost = " (supervisor lost)" if status.state == "lost" else ""
    return f"Exited ({code}) {ago(status.finished_at, now)}{lost}"


def container_filters(given: Iterable[str]) -> Callable[[list[Container]], list[Container]]:
    """What `ps --filter` keeps of a list. InvalidError, at once, for an unknown key or a bad value.

    The function it returns raises NotFoundError when `before` or `since` name none of the list.
    """
    wanted = tuple(given)
    filters.parse(wanted, {**_CONTAINER_FILTERS, **dict.fromkeys(("before", "since"), _anything)})

    def chosen(containers: list[Container]) -> list[Container]:
        def before(word: str) -> filters.Test[Container]:
            edge = _named(containers, word).created_at
            return lambda c: c.created_at < edge

        def since(word: str) -> filters.Test[Container]:
            edge = _named(containers, word).created_at
            return lambda c: c.created_at > edge

        keep = filters.parse(wanted, {**_CONTAINER_FILTERS, "before": before, "since": since})
        return [container for container in containers if keep(container)]

    return chosen


def _anything(value: str) -> filters.Test[Container]:
    return lambda c: True


def _named(containers: list[Container], word: str) -> Container:
    for container in containers:
        if word and (container.name == word or container.id.startswith(word)):
            return container
    raise NotFoundError(f"no such container: {word!r}")


def _name(value: str) -> filters.Test[Container]:
    # Docker's names begin with a slash inside, and people anchor with it.
    pattern = filters.expression(value)
    return lambda c: bool(pattern.search(c.name) or pattern.search(f"/{c.name}"))


def _id(value: str) -> filters.Test[Container]:
    pattern = filters.expression(value)
    return lambda c: bool(pattern.search(c.id))


def _command(value: str) -> filters.Test[Container]:
    pattern = filters.expression(value)
    return lambda c: bool(pattern.search(" ".join(c.argv)))


def _exited(value: str) -> filters.Test[Container]:
    if not re.fullmatch(r"\d{1,3}", value, re.ASCII):
        raise InvalidError(f"invalid --filter 'exited={value}', expected an exit code")
    return lambda c: c.status.state in ("stopped", "lost") and c.status.exit_code == int(value)


def _status(value: str) -> filters.Test[Container]:
    filters.one_of("status", value, _STATES)
    return lambda c: value in (state_word(c), c.status.state)


def _ancestor(value: str) -> filters.Test[Container]:
    digits = value.removeprefix("sha256:")

    def test(container: Container) -> bool:
        name = container.request.image
        if value in (name, split_reference(name)[0], container.image_digest):
            return True
        return len(digits) >= 4 and container.image_id.removeprefix("sha256:").startswith(digits)

    return test


def _label(value: str) -> filters.Test[Container]:
    matches = filters.label(value)
    return lambda c: matches(c.request.labels)


def _until(value: str) -> filters.Test[Container]:
    latest = parse_time(value, "--filter until")
    return lambda c: c.created_at <= latest


def _pod(value: str) -> filters.Test[Container]:
    def test(container: Container) -> bool:
        member = container.request.member
        return member is not None and bool(value) and (member.name == value or member.id.startswith(value))

    return test


def _health(value: str) -> filters.Test[Container]:
    filters.one_of("health", value, ("starting", "healthy", "unhealthy", "none"))
    return lambda c: (c.status.health.status if c.status.health else "none") == value


_CONTAINER_FILTERS: dict[str, filters.Maker[Container]] = {
    "id": _id,
    "name": _name,
    "label": _label,
    "exited": _exited,
    "status": _status,
    "ancestor": _ancestor,
    "volume": lambda value: lambda c: mounts.uses(c, value),
    "network": lambda value: lambda c: c.request.network == value,
    "runtime": lambda value: lambda c: c.providers.runtime == value,
    "command": _command,
    "until": _until,
    "publish": ports.publish_filter,
    "expose": ports.expose_filter,
    "health": _health,
    "pod": _pod,
    "restart-policy": lambda value: lambda c: c.request.restart.name == value,
}


CONTAINER_FILTER_KEYS = sorted((*_CONTAINER_FILTERS, "before", "since"))
#: What `ps --sort` compares.
CONTAINER_KEYS: dict[str, Callable[[Listed[Any]], Any]] = {
    "id": lambda listed: listed.container.id,
    "names": lambda listed: listed.container.name,
    "image": lambda listed: listed.container.request.image,
    "command": lambda listed: listed.container.argv,
    "created": lambda listed: listed.container.created_at,
    "started": lambda listed: listed.container.status.started_at,
    "finished": lambda listed: listed.container.status.finished_at,
    "status": lambda listed: state_word(listed.container),
    "runtime": lambda listed: listed.container.providers.runtime,
    "size": lambda listed: listed.size.writable if listed.size else 0,
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
        "CreatedSince": "N/A" if created is None else ago(created, now),
        "CreatedAt": "N/A" if created is None else local_time(created),
        "Size": size(image.size),
    }


def image_filters(given: Iterable[str]) -> Callable[[ImageEntry], bool]:
    """What `images --filter` keeps. InvalidError for an unknown key or a bad value."""
    return filters.parse(given, _IMAGE_FILTERS)


def split_reference(reference: str) -> tuple[str, str]:
    """Repository and tag; `<none>` where there is none."""
    if not reference:
        return "<none>", "<none>"
    plain = reference.partition("@")[0]
    repository, colon, tag = plain.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (plain, "<none>")


def created_at(text: str) -> float | None:
    """Epoch seconds of an image's RFC 3339 date; None where there is none, or one that no calendar here can show."""
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
    # An image says what it likes: the year 1 stands for "unknown", the last days of 9999 overflow in other zones.
    return seconds if 0 <= seconds < _LATEST else None


def _reference(pattern: str) -> filters.Test[ImageEntry]:
    from fnmatch import fnmatchcase

    def test(entry: ImageEntry) -> bool:
        return any(fnmatchcase(name, pattern) for name in (entry.reference, split_reference(entry.reference)[0]))

    return test


def _dangling(value: str) -> filters.Test[ImageEntry]:
    wanted = filters.one_of("dangling", value, ("true", "false")) == "true"
    return lambda entry: wanted == (not entry.reference)


def _image_label(value: str) -> filters.Test[ImageEntry]:
    matches = filters.label(value)
    return lambda entry: matches(entry.image.config.labels)


_IMAGE_FILTERS: dict[str, filters.Maker[ImageEntry]] = {
    "reference": _reference,
    "dangling": _dangling,
    "label": _image_label,
}
IMAGE_FILTER_KEYS = sorted(_IMAGE_FILTERS)
#: What `images --sort` compares.
IMAGE_KEYS: dict[str, Callable[[ImageEntry], Any]] = {
    "repository": lambda entry: split_reference(entry.reference)[0],
    "tag": lambda entry: split_reference(entry.reference)[1],
    "id": lambda entry: entry.image.id,
    "created": lambda entry: created_at(entry.image.created) or 0,
    "size": lambda entry: entry.image.size,
}
