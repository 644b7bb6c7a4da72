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
    The cgroup and the network namespace named in config.json exist already and belong to the core; cgroupsPath counts
    from the top of every hierarchy, and a hierarchy that has no such directory is left out.

    Whatever the supervisor ignores, blocks or has open, the program begins as config.json says and no other way:
    default signal actions, nothing blocked, descriptors 0, 1 and 2 alone, the variables of `process.env` and, with
    "exact_environment", no others, in its cgroup or one below it. Links in the root file system never lead a mount or
    a path of config.json outside of it. What is mounted for the container is not seen by its supervisor, and a process
    that the runtime keeps for itself ends with that. The annotation `dev.cmanager.init` = "true" asks for a first
    process that forwards signals and reaps orphans.
    """

    def features(self) -> Features:
        """What this runtime can honour here, probed from the kernel or the installed program; no side effect.

        Raises UnsupportedError where this host cannot run it at all: the program is missing, or does not work here.
        What every runtime honours is in no option: arguments, environment, working directory, mounts, a read-only
        root, a cgroup. "umask" stands for another one than 022, "masked_paths" for read-only paths too, "devices" for
        the standard nodes of /dev as well as `linux.devices`, "network" for joining a network namespace by its path,
        "userns" for id maps, "cgroup_mount" for mounts of type "cgroup", which stand for those of all hierarchies,
        "poststart" for hooks of that kind at their time, "hooks" for all others.
        """
        ...

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        """Make the container but run no user code.

        Returns the pid of a process whose end is the container's end, a descendant of the caller. It is alive until
        then, or until `start` returns another in its place, and killing it kills the container. A runtime without a
        "created" state may do the work in `start`; then this is the process that will. A terminal is sent before it
        returns.

        Raises, before anything is made, InvalidError for a config.json that does not fit the specification (a host
        name without an uts namespace is one), UnsupportedError for what it asks and this runtime cannot do (whatever
        `features` does not announce is refused, never ignored), ConflictError for an id that it has already, whose
        container goes on; HostError with step, path and errno; CommandError as `start` does, where the runtime looks
        that early. After a failure nothing is left.
        """
        ...

    def start(self, id: str) -> int:
        """Execute the program; returns when it runs, or is about to be executed and was found executable.

        Returns the pid of the container's first process, in all of its namespaces: what `create` returned, or what
        only exists now. Children that the caller has afterwards are the runtime's: the caller reaps none of them before
        `delete`.

        Raises CommandError with 127 (not found) or 126 (cannot be executed), HostError, another CmanagerError when the
        container died since `create`: after these it is gone, and `delete` is all that may follow. NotFoundError for an
        id that this process has not created, ConflictError for one that it has started.
        """
        ...

    def wait(self, id: str) -> int:
        """Reap the container and return its exit code, 128 + n when signal n killed it. Blocks until it ended.

        Until `delete` it may be called again and gives the same answer. NotFoundError as in `start`.
        """
        ...

    def kill(self, id: str, init: Process, number: int) -> None:
        """Send signal `number` to the container's program. init: its first process, which may be an init around it.

        A container that is gone is success, and another process with its number is left alone. A number that is no
        signal is an error.
        """
        ...

    def delete(self, id: str) -> None:
        """Remove what `create` made, killing what still runs; never the cgroup, namespace or bundle of the core.

        Idempotent; callable by any process, also when the supervisor is gone. Then the caller has killed a started
        container by its cgroup and pid; one that was created and not started must end with its supervisor or here.
        Without a pid namespace it ends the first process; the rest goes with the core's cgroup. Removing the cgroup
        below which the core put the container is no fault: what is in it was read before.
        """
        ...


@runtime_checkable
class Exec(Protocol):
    """Optional: a runtime that can run one more program in a running container."""

    def exec(self, bundle: Bundle, init: Process, process: dict[str, Any], stdio: Stdio) -> int:
        """Run a program in every namespace and the cgroup of a running container; returns the pid of a process that is
        a child of the caller, or adopted by it, and ends as the program ends: with its exit code, or 128 + its signal.

        bundle: the one the container was created from, whose config.json still tells its seccomp policy and cgroup;
        init: its first process; process: an OCI process object (runtime-spec config.md, Process) with the credentials
        and environment of the new program. Called by a single-threaded subreaper, which reaps the pid itself. Nothing
        of the caller may be read, traced or inherited from inside on the way in (CVE-2016-9962). Raises CommandError
        with 127 or 126 when the program cannot be executed, NotFoundError when the container is gone, HostError.
        """
        ...


@runtime_checkable
class Adopt(Protocol):
    """Optional: a runtime whose container is a child of the process that created it, and can become another's."""

    def adopt(self, bundle: Bundle, pid: int) -> None:
        """Take over a container that another process has started and that has become a child of this one; from then on
        `wait` and `delete` are as if this process had done so.

        So a supervisor that only waits leaves it to a process that has less in memory: a subreaper, which it was forked
        from (prctl(2), PR_SET_CHILD_SUBREAPER). bundle: the one it was created from; pid: its first process, as `start`
        returned it, which may have ended. Raises CmanagerError; then the core reaps it itself.
        """
        ...
