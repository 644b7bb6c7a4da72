"""The table of named steps. The engine runs it, the supervisor unwinds it, `explain` prints it, the tests break it.

A step takes the values it names and returns one; its undo needs none of them, because everything a step makes is
named after the container. So an undo works for a step that never finished, in a process that never started it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from attrs import asdict

from ..errors import CmanagerError, InvalidError
from ..linux import netns
from ..linux import userns as userns_pins
from ..linux.process import Process
from ..linux.values import frozen
from ..model.container import Container
from ..model.network import Attachment, Endpoint, Peer, Rate
from ..plugins import Plugins
from ..state import Paths
from . import attachments
from .etc import Hosts

#: Called as observe(step name, "do" | "done" | "undo" | "undone", the moment: `time.monotonic()`).
Observe = Callable[[str, str, float], None]

#: What an observer was called with.
Mark = tuple[str, str, float]


@frozen
class Step:
    """One step.

    name: also the name of the value it returns; text: what it does, one line; takes: names of earlier values, passed
    as keywords; do: returns the value; undo: idempotent, None where there is nothing to undo; late: whether it may be
    undone when the container has ended for everybody, as nobody can be waiting for what it gives back.
    """

    name: str
    text: str
    do: Callable[..., Any]
    undo: Callable[[], None] | None = None
    takes: tuple[str, ...] = ()
    late: bool = False


def ignore(name: str, phase: str, moment: float) -> None:
    """The observer that looks away."""


class Timeline:
    """An observer that keeps what it is told and never fails a step, so that no step waits for it: of those of a
    supervisor it hears when they are over.

    part: what the marks to come belong to; marks: so far, in order, each after its part. A phase without an end ended
    at the next mark.
    """

    def __init__(self, part: str) -> None:
        self.part = part
        self.marks: list[tuple[str, Mark]] = []

    def __call__(self, name: str, phase: str, moment: float) -> None:
        self.marks.append((self.part, (name, phase, moment)))


def run(steps: Iterable[Step], observe: Observe = ignore) -> dict[str, Any]:
    """Run the steps in order; returns each step's value by its name.

    When one fails, it and those before it are undone in reverse, and its error is raised.
    """
    values: dict[str, Any] = {}
    begun: list[Step] = []
    try:
        for step in steps:
            begun.append(step)
            observe(step.name, "do", time.monotonic())
            values[step.name] = step.do(**{name: values[name] for name in step.takes})
            observe(step.name, "done", time.monotonic())
    except BaseException as error:
        for left in unwind(begun, observe):
            error.add_note(left)
        raise
    return values


def unwind(steps: Iterable[Step], observe: Observe = ignore) -> list[str]:
    """Undo every step, last first, whatever fails on the way; returns a line for each that did."""
    failed = []
    for step in reversed(list(steps)):
        if step.undo is None:
            continue
        with suppress(Exception):
            observe(step.name, "undo", time.monotonic())
        try:
            step.undo()
        except CmanagerError as error:
            failed.append(f"cannot undo step {step.name}: {error}")
        except Exception as error:
            failed.append(f"cannot undo step {step.name}: {type(error).__name__}: {error}")
        with suppress(Exception):
            observe(step.name, "undone", time.monotonic())
    return failed


def network_name(container: Container) -> str:
    """The provider its network comes from, "" when it shares its pod's, another container's or one given by path."""
    request = container.request
    shared = request.shares("network") or request.network.startswith(("container:", "ns:"))
    return "" if shared else container.providers.network


def netns_path(plugins: Plugins, paths: Paths, container: Container) -> str:
    """Where the network namespace is pinned that was made for it or for its pod, "" where there is none."""
    request = container.request
    if request.member and request.shares("network"):
        isolated = plugins.get("network", container.providers.network).isolated
        return f"{paths.pod(request.member.id)}/network" if isolated else ""
    name = network_name(container)
    return paths.netns(container.id) if name and plugins.get("network", name).isolated else ""


def hostname(container: Container) -> str:
    """What `hostname` says inside: the request's, or the short id."""
    return container.request.hostname or container.id[:12]


def start_steps(plugins: Plugins, paths: Paths, container: Container) -> list[Step]:
    """What a start makes before the supervisor: namespaces, link, names, cgroup, volumes that must be attached.

    Unwound by the supervisor when the container ends, by the engine when a start fails, and by reconcile and `gc` for
    whoever died in between.
    """
    id, request = container.id, container.request
    steps: list[Step] = []
    userns = paths.userns(id) if container.user_map else None
    if container.user_map:
        first, count = container.user_map
        steps.append(
            Step(
                "userns",
                f"pin a user namespace, root is host uid {first}",
                do=lambda: userns_pins.pin(paths.userns(id), first, count),
                undo=lambda: userns_pins.unpin(paths.userns(id)),
            )
        )
    name = network_name(container)
    provider = plugins.get("network", name) if name else None
    if request.shares("network"):
        steps.append(Step("link", "share the network of its pod", lambda pod: pod, takes=("pod",)))
    elif provider is None:
        steps.append(Step("link", f"share the network of {request.network}", do=Attachment))
    else:
        path = ""
        # The kernel takes its time to give a link back; of all there is to it, ports and addresses may be wanted anew.
        unwanted = not (request.ports or request.address or request.mac)
        if provider.isolated:
            path = paths.netns(id)
            steps.append(
                Step(
                    "netns",
                    "pin a new network namespace",
                    do=lambda: netns.pin(path, userns),
                    undo=lambda: netns.unpin(path),
                    late=unwanted,
                )
            )
        aliases = (container.name, *request.aliases)
        endpoint = Endpoint(hostname(container), aliases, request.address, request.mac, request.ports)
        published = "".join(f", publish {p.binding} for {p.exposed}" for p in request.ports)
        steps.append(
            Step(
                "link",
                f"attach it to network {name}{published}",
                do=lambda: provider.attach(id, path, endpoint),
                undo=lambda: provider.detach(id, path),
                late=unwanted,
            )
        )
        if request.rate != Rate():
            bound = ", ".join(f"{way} {speed}" for way, speed in asdict(request.rate).items() if speed)
            steps.append(
                # Detaching undoes it.
                Step(
                    "rate",
                    f"bound its bytes a second: {bound}",
                    lambda link: provider.shape(id, request.rate),
                    None,
                    ("link",),
                )
            )
        hosts = Hosts(paths.hosts(name))
        steps.append(
            Step(
                "hosts",
                "write its hosts file and tell its name to the others",
                takes=("link",),
                do=lambda link: hosts.add(id, _peer(container, link), request.add_hosts, link.gateway or "127.0.0.1"),
                undo=lambda: hosts.remove(id),
            )
        )
    limiter = plugins.get("limiter", container.providers.limiter)
    given = ", ".join(_told(name, value) for name, value in request.limits.given().items() if name != "devices")
    steps.append(
        Step(
            "cgroup",
            f"make its cgroup with {given or 'no limits'}",
            do=lambda: limiter.create(id, request.limits),
            undo=lambda: limiter.remove(id),
        )
    )
    if volumes := attachments.names(plugins, container):
        steps.append(
            Step(
                "attach",
                f"let its storage attach volume {volumes}",
                do=lambda: attachments.attach(plugins, container),
                undo=lambda: attachments.detach(plugins, container),
            )
        )
    return steps


def _told(name: str, value: object) -> str:
    return f"{name} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"


def namespaces(paths: Paths, container: Container, owner: Callable[[str], Container]) -> dict[str, str]:
    """Kind to path for the OCI configuration: "" makes a new one, a kind that is left out is the host's.

    owner: finds a running container by the word after "container:"; its namespaces must still be alive.
    """
    wanted = container.request.namespaces
    modes = {
        "pid": wanted.pid,
        "ipc": wanted.ipc,
        "uts": wanted.uts,
        "cgroup": wanted.cgroup,
        "user": wanted.user,
        "time": wanted.time,
    }
    found = {"mount": ""}
    for kind, mode in modes.items():
        if mode == "private":
            found[kind] = ""
        elif mode == "auto" and kind == "user":
            found[kind] = paths.userns(container.id)
        elif mode != "host":
            found[kind] = shared_path(kind, mode, owner)
    if member := container.request.member:
        found |= {kind: f"{paths.pod(member.id)}/{kind}" for kind in ("ipc", "uts") if kind in member.share}
    network = container.request.network
    if network.startswith(("container:", "ns:")):
        found["network"] = shared_path("network", network, owner)
    elif container.status.netns:
        found["network"] = container.status.netns
    return found


def ipc_owner(container: Container, owner: Callable[[str], Container]) -> Process | None:
    """First process of the container whose ipc namespace is shared, None when it is shared with no container."""
    word, _, rest = container.request.namespaces.ipc.partition(":")
    return owner(rest).status.init if word == "container" else None


def shared_path(kind: str, mode: str, owner: Callable[[str], Container]) -> str:
    """The path behind "container:NAME" or "ns:PATH"; InvalidError for other words."""
    word, _, rest = mode.partition(":")
    if word == "ns" and rest.startswith("/"):
        return rest
    if word == "container" and rest:
        other = owner(rest)
        init = other.status.init
        if not other.status.runs or init is None or not init.alive():
            raise InvalidError(f"cannot share the {kind} namespace of {rest}: that container is not running")
        file = {"mount": "mnt", "network": "net"}.get(kind, kind)
        return f"/proc/{init.pid}/ns/{file}"
    raise InvalidError(f"invalid {kind} namespace {mode!r}, expected private, host, container:NAME or ns:/PATH")


def _peer(container: Container, link: Attachment) -> Peer | None:
    if not link.addresses:
        return None
    request, host = container.request, hostname(container)
    full = (f"{host}.{request.domainname}",) if request.domainname else ()
    names = (*full, host, container.name, *request.aliases, container.id[:12])
    return Peer(link.addresses[0].partition("/")[0], names)
