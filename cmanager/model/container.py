"""What a container was asked to be, and what became of it."""

from __future__ import annotations

from typing import Literal

from attrs import field

from ..linux.mounts import Mount
from ..linux.process import Process
from ..linux.values import frozen
from .limits import Limits
from .log import Dropped, LogConfig
from .network import Attachment, PortMapping, Rate
from .pod import SHM_SIZE, Membership
from .usage import Usage
from .volume import VolumeMount

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

    user: "host" (none of its own), "auto" (a range of its own) or one of the shared forms. "" for the default, never in
    a record: "private", or "host" where the runtime cannot make one; for user and time "host".
    """

    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroup: str = ""
    user: str = ""
    time: str = ""


@frozen
class RestartPolicy:
    """When a container that ended is started again: Docker's no, on-failure, always or unless-stopped.

    maximum: how often at most with on-failure, 0 for without end.
    """

    name: Literal["no", "on-failure", "always", "unless-stopped"] = "no"
    maximum: int = 0


@frozen
class Healthcheck:
    """How to ask a container whether it is well, in the words of Docker's image configuration.

    test: ("CMD", argv…), ("CMD-SHELL", text), ("NONE",) for no check, () for the image's; interval, timeout,
    start_period, start_interval: seconds; retries: failures in a row that make it unhealthy; None for the image's or
    the default. Failures during start_period do not count, and until it was well once the checks come every
    start_interval then. on_unhealthy: what happens to it.
    """

    test: tuple[str, ...] = ()
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None
    on_unhealthy: Literal["none", "kill", "restart", "stop"] = "none"


@frozen
class Check:
    """One answer of a health check. started, ended: epoch seconds; exit_code; output: at most 4096 characters."""

    started: float
    ended: float
    exit_code: int
    output: str


@frozen
class Health:
    """How a container is. status: starting, healthy or unhealthy; failures: in a row; checks: the last five."""

    status: Literal["starting", "healthy", "unhealthy"] = "starting"
    failures: int = 0
    checks: tuple[Check, ...] = ()


@frozen
class Providers:
    """The provider on each seam, by name; a container keeps them for its life.

    versions: "NAME VERSION" by seam, of the distributions of those that did not come with cmanager, as they were then.
    """

    image: str
    storage: str
    network: str
    limiter: str
    runtime: str
    versions: dict[str, str] = field(factory=dict)

    def named(self) -> dict[str, str]:
        """The names by seam."""
        return {name: getattr(self, name) for name in ("image", "storage", "network", "limiter", "runtime")}


@frozen
class RunRequest:
    """Everything `run` and `create` can ask, in one value.

    image: reference; command: replaces the image's cmd when not empty; entrypoint: None for the image's, an empty
    tuple for none; env: "KEY=value" strings; network: a provider's name, "container:ID" or ""; user, workdir,
    hostname, stop_signal: "" for the default; pull: missing, always or never; shm_size: bytes;
    stop_timeout: seconds; security: Docker's --security-opt values; volumes_from: CONTAINER[:ro|rw], whose mounts are
    taken over at places that `mounts` and `volumes` leave free; publish: ports the host answers for; publish_all: also
    every exposed one, on a free port of the host; expose: "80/tcp" strings, in a record with the image's own; groups:
    further groups, names or gids; unset_env: names of variables that neither the image nor the defaults set;
    dns_search, dns_options: lines of resolv.conf(5); no_hosts, no_hostname: the image's own file stays; address, mac:
    fixed ones, aliases: further names on its network; oom_score_adj: -1000 to 1000, None for the manager's; timeout:
    seconds after which it is killed, 0 for never; annotations: for the runtime and its hooks; rate: bounds of its
    network; lax: whether limits that cannot be applied are left out rather than refused; pod: its name, id or
    "new:NAME", in a record the id; without: in a record, options of `Features` that the runtime lacks and the defaults
    leave out; member: in a record, its place in that pod. Then `network`, `hostname`, `dns`,
    `add_hosts` and `shm_size` are the pod's as far as it shares them.
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
    tty: bool = False
    remove: bool = False
    init: bool = False
    privileged: bool = False
    read_only: bool = False
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    volumes_from: tuple[str, ...] = ()
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
    shm_size: int = SHM_SIZE
    restart: RestartPolicy = field(factory=RestartPolicy)
    health: Healthcheck = field(factory=Healthcheck)
    pull: Literal["missing", "always", "never"] = "missing"
    publish: tuple[PortMapping, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    log: LogConfig = field(factory=LogConfig)
    groups: tuple[str, ...] = ()
    umask: int = 0o022
    unset_env: tuple[str, ...] = ()
    domainname: str = ""
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    no_hosts: bool = False
    no_hostname: bool = False
    address: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    oom_score_adj: int | None = None
    timeout: int = 0
    annotations: dict[str, str] = field(factory=dict)
    rate: Rate = field(factory=Rate)
    lax: bool = False
    pod: str = ""
    without: tuple[str, ...] = ()
    member: Membership | None = None

    def shares(self, kind: str) -> bool:
        """Whether it has this namespace from its pod; kind: one of `pod.SHARED`."""
        return self.member is not None and kind in self.member.share

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
    boot: boot id these facts belong to; warnings: what was degraded; stop_requested: somebody wanted it to end, so no
    policy starts it again; restarts: how often one did; restart_at: epoch seconds at which one will, 0 for never;
    health: None where nobody asks; dropped: what each sink of its log did not take since the last start.
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
    stop_requested: bool = False
    restarts: int = 0
    restart_at: float = 0.0
    health: Health | None = None
    dropped: tuple[Dropped, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether it has processes, frozen ones included."""
        return self.state in ("running", "paused")

    @property
    def active(self) -> bool:
        """Whether it runs or is about to run again by itself."""
        return self.runs or self.restart_at > 0


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


@frozen
class ExecRequest:
    """What `exec` can ask. user, workdir: "" for the container's own; env: "KEY=value" strings to add; privileged: all
    capabilities, and they may be gained; interactive: stdin is fed by the caller; tty: a terminal of its own."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    interactive: bool = False
    tty: bool = False
    privileged: bool = False
