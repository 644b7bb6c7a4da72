"""The runtime seam: run an OCI bundle."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from ..linux.process import Process
from ..model.runtime import Bundle, Features, Stdio


@runtime_checkable
class Runtime(Protocol):
    """Runs OCI runtime bundles (runtime-spec 1.x): namespaces, mounts, credentials and the program itself.

    `create`, `start`, `wait` and `delete` are called by one process, the container's supervisor: single-threaded, a
    subreaper, in a mount namespace of its own where the bundle's rootfs is mounted. `kill` may come from any process.
    The cgroup and the network namespace named in config.json exist already and belong to the core.
    """

    def features(self) -> Features:
        """What this runtime can honour here, probed from the kernel or the installed program; no side effect."""
        ...

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        """Make the container but run no user code.

        Returns the pid of a process whose end is the container's end: a child of the caller, or one that the caller
        adopts as subreaper. Raises UnsupportedError for what config.json asks and it cannot do, HostError with step,
        path and errno; after a failure nothing is left. A runtime without a "created" state may do the work in `start`.
        """
        ...

    def start(self, id: str) -> None:
        """Execute the program. Raises CommandError with 127 (not found) or 126 (cannot be executed), or HostError."""
        ...

    def wait(self, id: str) -> int:
        """Reap the container and return its exit code, 128 + n when signal n killed it. Blocks until it ended."""
        ...

    def kill(self, id: str, init: Process, number: int) -> None:
        """Send signal `number` to the container's first process. A container that is gone is success."""
        ...

    def delete(self, id: str) -> None:
        """Remove what `create` made, killing what still runs; never the cgroup, namespace or bundle of the core.

        Idempotent; callable by any process, also when the supervisor is gone.
        """
        ...


@runtime_checkable
class Exec(Protocol):
    """Optional: a runtime that can run one more program in a running container."""

    def exec(self, bundle: Bundle, init: Process, process: dict[str, Any], stdio: Stdio) -> int:
        """Run a program in every namespace and the cgroup of a running container; returns its pid.

        bundle: the one the container was created from, whose config.json still tells its seccomp policy and cgroup;
        init: its first process; process: an OCI process object (runtime-spec config.md, Process) with the credentials
        and environment of the new program. Called by a single-threaded subreaper, which reaps the pid itself. Nothing
        of the caller may be read, traced or inherited from inside on the way in (CVE-2016-9962). Raises CommandError
        with 127 or 126 when the program cannot be executed, NotFoundError when the container is gone, HostError.
        """
        ...
