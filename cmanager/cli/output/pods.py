"""Pods as rows of a list, as items for programs, and as `pod inspect` shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ...model import PortMapping
from ...model.codec import to_data
from . import filters, ports
from .gofunctions import OpenMap
from .human import ago, rfc3339
from .rows import state_word

if TYPE_CHECKING:
    from ...engine.pods import Entry

COLUMNS = ("ID", "Name", "Status", "Created", "NumberOfContainers", "Ports")
HEADERS = {
    "ID": "POD ID",
    "Name": "NAME",
    "Status": "STATUS",
    "Created": "CREATED",
    "NumberOfContainers": "# OF CONTAINERS",
    "Ports": "PORTS",
    "Hostname": "HOSTNAME",
    "Labels": "LABELS",
    "Networks": "NETWORKS",
    "Share": "SHARE",
}
#: Words for a pod, in lower case as filters have them.
STATES = ("created", "running", "degraded", "paused", "stopped", "exited")
_SHORT = {"network": "net"}


def status(entry: Entry) -> str:
    """Podman's word for a pod: Running when all of its containers do, Degraded when some do, Exited when all have
    ended, Stopped when some have, Created when none was ever started."""
    states = [state_word(container) for container in entry.containers]
    count = {state: states.count(state) for state in states}
    running = count.get("running", 0) + count.get("restarting", 0)
    if states and running == len(states):
        return "Running"
    if running:
        return "Degraded"
    if states and count.get("paused") == len(states):
        return "Paused"
    if count.get("paused"):
        return "Degraded"
    if states and count.get("exited") == len(states):
        return "Exited"
    return "Stopped" if count.get("exited") else "Created"


def pod_row(entry: Entry, now: float, *, trunc: bool = True) -> dict[str, str]:
    """One line of `pod ls`. now: epoch seconds; trunc: shorten the id."""
    pod = entry.pod
    return {
        "ID": pod.id[:12] if trunc else pod.id,
        "Name": pod.name,
        "Status": status(entry),
        "Created": ago(pod.created_at, now),
        "NumberOfContainers": str(len(entry.containers)),
        "Ports": ports.published_text(_published(entry)),
        "Hostname": pod.request.hostname,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(pod.request.labels.items())),
        "Networks": pod.request.network if "network" in pod.request.share else "",
        "Share": ",".join(_share(entry)),
    }


def typed(entry: Entry) -> dict[str, Any]:
    """An item of `cmanager.pods/1`."""
    pod, link = entry.pod, entry.pod.status.attachment
    return {
        "id": pod.id,
        "name": pod.name,
        "status": status(entry).lower(),
        "created_at": rfc3339(pod.created_at),
        "hostname": pod.request.hostname,
        "share": list(_share(entry)),
        "network": pod.request.network if "network" in pod.request.share else None,
        "addresses": list(link.addresses) if link and pod.up else [],
        "ports": to_data(_published(entry)),
        "labels": dict(pod.request.labels),
        "containers": [{"id": c.id, "name": c.name, "state": state_word(c)} for c in entry.containers],
    }


def described(entry: Entry, directory: str) -> dict[str, Any]:
    """One element of `pod inspect`, in Podman's words. directory: where its namespaces are pinned."""
    pod, request = entry.pod, entry.pod.request
    link = pod.status.attachment if pod.up else None
    address, _, prefix = (link.addresses[0] if link and link.addresses else "").partition("/")
    return {
        "Id": pod.id,
        "Name": pod.name,
        "Created": rfc3339(pod.created_at),
        "State": status(entry),
        "Hostname": request.hostname,
        "Labels": OpenMap(request.labels),
        "CreateInfra": False,
        "SharedNamespaces": list(_share(entry)),
        "Namespaces": OpenMap({name: f"{directory}/{kind}" for name, kind in _pinned(entry)}),
        "Network": request.network if "network" in request.share else "",
        "NetworkSettings": {
            "IPAddress": address,
            "IPPrefixLen": int(prefix or 0),
            "Gateway": link.gateway if link else "",
            "MacAddress": link.mac if link else "",
            "Ports": OpenMap(ports.published_settings(_published(entry))),
        },
        "PortBindings": OpenMap(ports.wanted_bindings(request.publish)),
        "Dns": list(request.dns),
        "ExtraHosts": list(request.add_hosts),
        "ShmSize": request.shm_size if "ipc" in request.share else 0,
        "NumContainers": len(entry.containers),
        "Containers": [{"Id": c.id, "Name": c.name, "State": state_word(c)} for c in entry.containers],
    }


def pod_filters(given: Iterable[str]) -> Callable[[Entry], bool]:
    """What `pod ls --filter` keeps. InvalidError for an unknown key or a bad value."""
    return filters.parse(given, _FILTERS)


def _published(entry: Entry) -> tuple[PortMapping, ...]:
    link = entry.pod.status.attachment
    return link.ports if link and entry.pod.up else ()


def _share(entry: Entry) -> tuple[str, ...]:
    return tuple(_SHORT.get(kind, kind) for kind in entry.pod.request.share)


def _pinned(entry: Entry) -> list[tuple[str, str]]:
    kinds = entry.pod.request.share if entry.pod.up else ()
    return [(_SHORT.get(kind, kind), kind) for kind in kinds]


def _name(value: str) -> filters.Test[Entry]:
    pattern = filters.expression(value)
    return lambda entry: bool(pattern.search(entry.pod.name))


def _status(value: str) -> filters.Test[Entry]:
    filters.one_of("status", value.lower(), STATES)
    return lambda entry: status(entry).lower() == value.lower()


def _label(value: str) -> filters.Test[Entry]:
    matches = filters.label(value)
    return lambda entry: matches(entry.pod.request.labels)


_FILTERS: dict[str, filters.Maker[Entry]] = {
    "id": lambda value: lambda entry: entry.pod.id.startswith(value),
    "name": _name,
    "status": _status,
    "label": _label,
}
FILTER_KEYS = sorted(_FILTERS)
