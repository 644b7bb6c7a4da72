"""What crosses the runtime seam."""

from __future__ import annotations

from ..linux.values import frozen
from .codec import Fd


@frozen
class Bundle:
    """An OCI bundle that is ready to run.

    id: the container's id; path: directory with `config.json` and `rootfs`, where the root file system is already
    mounted in the mount namespace of the process that calls the runtime.
    """

    id: str
    path: str


@frozen
class Stdio:
    """Descriptors for the container's 0, 1 and 2. They stay the caller's, who closes them after `create`.

    console: where `process.terminal` is set, a connected Unix socket and the other three are -1: the runtime makes a
    pseudoterminal in the container's own devpts and sends the descriptor of its master as SCM_RIGHTS with one byte or
    more, before `create` (or `exec`) returns (OCI runtimes' --console-socket); -1 otherwise.
    """

    stdin: Fd = -1
    stdout: Fd = -1
    stderr: Fd = -1
    console: Fd = -1

    @property
    def streams(self) -> tuple[Fd, Fd, Fd]:
        """stdin, stdout and stderr."""
        return self.stdin, self.stdout, self.stderr


#: What `Features.options` may hold; see `cmanager.seams.Runtime.features`.
OPTIONS = (
    *("capabilities", "cgroup_mount", "devices", "exact_environment", "hooks", "init", "masked_paths", "network"),
    *("no_new_privileges", "poststart", "rlimits", "seccomp", "sysctl", "terminal", "umask", "user", "userns"),
)

#: Runtimes without a word for an init in the runtime specification read this annotation.
INIT_ANNOTATION = "dev.cmanager.init"
#: Of a program when nothing else is said; another one is an option.
DEFAULT_UMASK = 0o022


@frozen
class Features:
    """What a runtime can honour on this host, probed and not listed by name.

    namespaces: kinds it can make, in OCI's words; options: subset of `OPTIONS`; version: of the program behind it;
    notes: lines a person should know ("PID 1 is lxc's init"); warnings: lines that everyone is told who makes a
    container with it; joins: kinds it can join by their path, None for all that it can make ("network" and "user" are
    among the options); moves: whether processes are moved into their cgroup by others, for which cgroup v1 has the
    kernel wait: then the wait is begun before (`cmanager.linux.cgroups.join`).
    """

    namespaces: tuple[str, ...]
    options: tuple[str, ...]
    version: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    joins: tuple[str, ...] | None = None
    moves: bool = True

    def can_join(self, kind: str) -> bool:
        """Whether a namespace of this kind can be given by its path."""
        if kind in ("network", "user"):
            return {"network": "network", "user": "userns"}[kind] in self.options
        return kind in (self.namespaces if self.joins is None else self.joins)
