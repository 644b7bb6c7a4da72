"""What a container was asked to be, and what became of it."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from ..linux.mounts import Mount
from ..linux.process import Process
from .limits import Limits, Usage
from .network import Attachment, PortMapping

State = Literal["created", "running", "paused", "stopped", "lost"]


@frozen
class Ulimit:
    """One resource limit (setrlimit(2)); soft, hard: int, -1 for unlimited; name in lower case without RLIMIT_."""

    name: str
    soft: int
    hard: int


@frozen
class Namespaces:
    """How each namespace is had: "private" for a new one, "host", "container:ID" or "ns:PATH".

    user: "host" (none of its own), "auto" (a range of its own) or one of the shared forms. time: "host" or "private".
    """

    pid: str = "private"
    ipc: str = "private"
    uts: str = "private"
    cgroup: str = "private"
    user: str = "host"
    time: str = "host"


@frozen
class Providers:
    """The provider on each seam, by name; a container keeps them for its life."""

    image: str
    storage: str
    network: str
    limiter: str
    runtime: str


@frozen
class RunRequest:
    """Everything `run` and `create` can ask, in one value.

    image: reference; command: replaces the image's cmd when not empty; entrypoint: None for the image's, an empty
    tuple for none; env: "KEY=value" strings; network: a provider's name, "container:ID" or ""; user, workdir,
    hostname, stop_signal: "" for the default; pull: missing, always or never; shm_size: bytes;
    stop_timeout: seconds; security: Docker's --security-opt values; publish: ports the host answers for; publish_all:
    also every exposed one, on a free port of the host; expose: "80/tcp" strings, in a record with the image's own.
    """

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    name: str = ""
    env: tuple[str, ...] = ()
    labels: dict[str, str] = field(factory=dict)
    hostname: str = ""
    user: str = ""
    workdir: str = ""
    interactive: bool = False
    remove: bool = False
    init: bool = False
    privileged: bool = False
    read_only: bool = False
    mounts: tuple[Mount, ...] = ()
    devices: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    sysctls: dict[str, str] = field(factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    limits: Limits = field(factory=Limits)
    namespaces: Namespaces = field(factory=Namespaces)
    network: str = ""
    runtime: str = ""
    dns: tuple[str, ...] = ()
    add_hosts: tuple[str, ...] = ()
    stop_signal: str = ""
    stop_timeout: int = 10
    shm_size: int = 64 << 20
    pull: Literal["missing", "always", "never"] = "missing"
    publish: tuple[PortMapping, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()

    @property
    def ports(self) -> tuple[PortMapping, ...]:
        """Everything to be published; what is exposed and not named in `publish` gets a free port."""
        if not self.publish_all:
            return self.publish
        named = {mapping.exposed for mapping in self.publish}
        others = (text.partition("/") for text in self.expose if text not in named)
        return (*self.publish, *(PortMapping("", 0, int(port), protocol) for port, _, protocol in others))


@frozen
class Status:
    """What became of a container, rewritten at every change.

    state; init: the container's first process; supervisor: its supervisor, or the command that is starting it;
    started_at, finished_at: seconds since the epoch, 0 for never; exit_code: None until it ended; error: a line when it
    could not start or was lost; oom_killed: whether it died for memory; usage: what the limiter counted at the end;
    attachment: its place on the network; netns: path of its network namespace, "" for the host's; cgroup: its path;
    boot: boot id these facts belong to; warnings: what was degraded.
    """

    state: State = "created"
    init: Process | None = None
    supervisor: Process | None = None
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int | None = None
    error: str = ""
    oom_killed: bool = False
    usage: Usage | None = None
    attachment: Attachment | None = None
    netns: str = ""
    cgroup: str = ""
    boot: str = ""
    warnings: tuple[str, ...] = ()


@frozen
class Container:
    """The record of one container: what never changes after `create`, and its present status.

    id: 64 hex digits; image_digest: of the manifest; image_id: of its configuration; argv: what is executed; user_map:
    (first host id, count) of its user namespace, None without one.
    """

    id: str
    name: str
    created_at: float
    request: RunRequest
    image_digest: str
    image_id: str
    argv: tuple[str, ...]
    providers: Providers
    user_map: tuple[int, int] | None = None
    status: Status = field(factory=Status)
