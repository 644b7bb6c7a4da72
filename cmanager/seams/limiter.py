"""The limiter seam: limit, account for and control the processes of a container."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..model.limits import Cgroup, Limits
from ..model.usage import Usage, Watched


@runtime_checkable
class Limiter(Protocol):
    """One cgroup per container, named after its id in every hierarchy of the host."""

    def check(self, limits: Limits) -> None:
        """Raise UnsupportedError, naming the controller, file or I/O scheduler, for a limit this host cannot apply;
        InvalidError for a value outside its range, HostError for a device that is not there. Nothing is made for a
        container; called before any other step."""
        ...

    def create(self, id: str, limits: Limits) -> Cgroup:
        """Make the cgroup of container `id` with its limits applied and no process in it.

        Raises HostError; after a failure nothing is left. A cgroup of that id from an earlier run is removed first.
        """
        ...

    def update(self, id: str, limits: Limits) -> None:
        """Change those limits that are not None; all or, as far as the kernel lets it be undone, none.

        What means something together arrives together: memory with its swap, a quota with its period; `devices` is the
        whole list. Lists by device change those devices. Raises what `check` does, and NotFoundError, HostError.
        """
        ...

    def usage(self, id: str) -> Usage:
        """Counters of container `id` since `create`; all None when its cgroup is gone.

        Called for every running container at each look of `stats`: it must cost no process. A counter never falls;
        `network` is left out, the manager counts that itself.
        """
        ...

    def freeze(self, id: str, frozen: bool) -> None:
        """Stop all processes of the container, or let them go on; returns when the kernel has done so.

        Raises NotFoundError when there is no such cgroup.
        """
        ...

    def kill(self, id: str) -> None:
        """SIGKILL every process in the cgroup, frozen or forking; returns when they are told, not when gone.

        No cgroup is success.
        """
        ...

    def remove(self, id: str) -> None:
        """Kill what is left, wait for it (at most some seconds) and remove the cgroup. Idempotent.

        Raises HostError when a process cannot be killed; calling again later finishes the work.
        """
        ...

    def owned(self) -> frozenset[str]:
        """Ids that have a cgroup in any hierarchy."""
        ...


@runtime_checkable
class Cover(Protocol):
    """A limiter that knows more limits than every limiter does (`cmanager.model.limits.FIRST`). Optional: whoever is
    none never sees the others, they are refused.

    limits: the fields of `Limits` that `check` looks at, and that are either applied or refused.
    """

    @property
    def limits(self) -> tuple[str, ...]: ...


@runtime_checkable
class Clock(Protocol):
    """A limiter that can tell processor time without the rest. Optional: of another `usage` is asked, which costs more
    of those who want it of many containers, twice."""

    def cpu_seconds(self, id: str) -> float | None:
        """`usage(id).cpu_seconds` alone, for a few reads at most; None when its cgroup is gone or nothing counts it."""
        ...


@runtime_checkable
class Watch(Protocol):
    """A limiter whose host tells when a limit is reached; of another the supervisor asks when the container ends."""

    def watched(self, id: str) -> tuple[Watched, ...]:
        """Files that the kernel announces changes of when `memory_limit_hits`, `memory_ooms`, `oom_kills` or
        `pids_limit_hits` of `usage` grow; none for a cgroup that is gone. Nothing is opened here: the supervisor
        listens, and asks for `usage` when it hears something."""
        ...
