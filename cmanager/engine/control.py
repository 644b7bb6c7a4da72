"""The verbs that change a container that exists: its processes, its name, its limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import attrs
from attrs import field

from ..errors import CmanagerError, ConflictError, InvalidError, NotFoundError
from ..linux import cgroups
from ..linux.process import Process
from ..linux.values import frozen
from ..model.container import Container, RestartPolicy
from ..model.limits import Limits, laid_over
from ..model.names import check_name
from ..model.network import Rate
from ..oci import signals
from ..plugins import Plugins
from ..state import Store
from ..supervisor.announce import Announcer
from . import limiting, rates

_SIGKILL, _SIGUSR1 = 9, 10
_PATIENCE, _LAST_PATIENCE = 5, 30  # seconds


@frozen
class Update:
    """What `update` changes; None and Limits' None leave as it is.

    rate: those fields of `Rate` that change; lax: limits that cannot be applied are left out.
    """

    limits: Limits = field(factory=Limits)
    restart: RestartPolicy | None = None
    rate: dict[str, int] = field(factory=dict)
    lax: bool = False


class Control:
    """inspect: finds a container as it really is, by id, name or prefix."""

    def __init__(
        self, store: Store, plugins: Plugins, announcer: Announcer, inspect: Callable[[str], Container]
    ) -> None:
        self._store, self._plugins, self._announcer, self._inspect = store, plugins, announcer, inspect

    def stop(self, word: str, timeout: float | None) -> bool:
        """See `Engine.stop`."""
        container = self._inspect(word)
        if not container.status.active:
            return False
        wait = container.request.stop_timeout if timeout is None else timeout
        number = signals.number_of(container.request.stop_signal or "SIGTERM")
        container = self._wanted_to_end(container)
        supervisor = container.status.supervisor
        self._signal(container, number)
        self._thaw(container)
        in_time = supervisor is None or supervisor.wait_gone(wait if wait >= 0 else 10**9)
        if not in_time and supervisor:
            self._kill_all(container, supervisor)
        self._announcer.container("stop", container)
        return not in_time

    def kill(self, word: str, signal_name: str) -> None:
        """See `Engine.kill`."""
        number = signals.number_of(signal_name)
        container = self._inspect(word)
        if not container.status.active:
            raise ConflictError(f"container {word} is not running")
        if number in (_SIGKILL, signals.number_of(container.request.stop_signal or "SIGTERM")):
            container = self._wanted_to_end(container)
        self._signal(container, number)
        if number == _SIGKILL:
            self._thaw(container)

    def end(self, container: Container) -> None:
        """Kill a container that runs, or is about to, and wait until its supervisor has undone everything."""
        container = self._wanted_to_end(container)
        if container.status.supervisor:
            self._kill_all(container, container.status.supervisor)

    def pause(self, word: str, frozen: bool) -> None:
        """See `Engine.pause` and `Engine.unpause`."""
        expected: Literal["running", "paused"] = "running" if frozen else "paused"
        becomes: Literal["running", "paused"] = "paused" if frozen else "running"
        with self._changed(word) as container:
            state = container.status.state
            if state == becomes and frozen:
                raise ConflictError(f"container {word} is paused already")
            if state != expected:
                raise ConflictError(f"container {word} is not {expected}, it is {state}")
            limiter = self._limiter(container)
            limiter.freeze(container.id, frozen)
            try:
                self._store.save_status(container.id, attrs.evolve(container.status, state=becomes))
            except BaseException:
                limiter.freeze(container.id, not frozen)
                raise
        self._announcer.container("pause" if frozen else "unpause", container)

    def rename(self, word: str, name: str) -> None:
        """See `Engine.rename`."""
        check_name(name, "container name")
        with self._changed(word) as container:
            if name == container.name:
                raise ConflictError(f"container {word} has the name {name!r} already")
            self._store.rename(container, name)
        self._announcer.container("rename", attrs.evolve(container, name=name), oldName=container.name)

    def update(self, word: str, update: Update, *, force: bool = False) -> tuple[str, ...]:
        """See `Engine.update`."""
        with self._changed(word) as container:
            request = container.request
            rate = attrs.evolve(request.rate, **update.rate) if update.rate else None
            after, told, warnings = self._fitted(container, update)
            if update.restart and update.restart.name != "no" and request.remove:
                raise InvalidError("a container with --rm cannot have a restart policy")
            if rate:
                rates.check(self._plugins, request.network, rate, shared=request.shares("network"))
            if container.status.runs:
                self._change(container, told, rate, force)
            changed = attrs.evolve(request, limits=after, rate=rate or request.rate)
            if update.restart:
                changed = attrs.evolve(changed, restart=update.restart)
            self._store.replace(attrs.evolve(container, request=changed))
            if warnings:
                all_warnings = tuple(dict.fromkeys((*container.status.warnings, *warnings)))
                self._store.save_status(container.id, attrs.evolve(container.status, warnings=all_warnings))
        self._announcer.container("update", container)
        return warnings

    def _fitted(self, container: Container, update: Update) -> tuple[Limits, Limits, tuple[str, ...]]:
        """All limits as they will be, those to tell the limiter, and a warning for each that is left out."""
        limits, providers = container.request.limits, container.providers
        after, told = laid_over(limits, update.limits)
        kept, warnings = limiting.fit(self._limiter(container), providers.limiter, told, lax=update.lax)
        if warnings:
            left: dict[str, Any] = {n: v for n, v in kept.given().items() if n in update.limits.given()}
            after, told = laid_over(limits, Limits(**(left | {"devices": update.limits.devices})))
        return after, told, warnings

    def _change(self, container: Container, told: Limits, rate: Rate | None, force: bool) -> None:
        """Tell limiter and network; when one refuses, both are as before."""
        request, limiter = container.request, self._limiter(container)
        used = limiter.usage(container.id).memory_bytes or 0
        if told.memory is not None and told.memory != request.limits.memory and told.memory < used and not force:
            raise ConflictError(
                f"container {container.name} uses {used} bytes of memory, a limit of {told.memory} may kill it, "
                "use --force to set it all the same"
            )
        if rate:
            rates.shaper(self._plugins, request.network).shape(container.id, rate)
        try:
            if told.given():
                limiter.update(container.id, told)
        except CmanagerError:
            if rate:
                rates.shaper(self._plugins, request.network).shape(container.id, request.rate)
            raise

    def processes(self, word: str) -> tuple[int, ...]:
        """See `Engine.processes`."""
        container = self._inspect(word)
        if not container.status.runs:
            raise ConflictError(f"container {word} is not running")
        return cgroups.processes(container.status.cgroup)

    @contextmanager
    def _changed(self, word: str) -> Iterator[Container]:
        """The container under its lock, as it is then."""
        id = self._inspect(word).id
        with self._store.locked(id):
            yield self._store.load(id)

    def _wanted_to_end(self, container: Container) -> Container:
        """Write down that no policy shall start it again, and tell a supervisor that waits to do so."""
        with suppress(NotFoundError), self._store.locked(container.id):
            container = self._store.load(container.id)
            status = attrs.evolve(container.status, stop_requested=True)
            self._store.save_status(container.id, status)
            container = attrs.evolve(container, status=status)
        if container.status.restart_at and container.status.supervisor:
            container.status.supervisor.send(_SIGUSR1)
        return container

    def _signal(self, container: Container, number: int) -> None:
        if container.status.init:
            self._announcer.container("kill", container, signal=str(number))
            try:
                runtime = self._plugins.get("runtime", container.providers.runtime)
                runtime.kill(container.id, container.status.init, number)
            except CmanagerError:
                # A runtime that is gone, or does not work, must not keep a container from being ended.
                if number != _SIGKILL and self._plugins.there("runtime", container.providers.runtime):
                    raise
                container.status.init.send(number)

    def _thaw(self, container: Container) -> None:
        """What is frozen neither hears a signal nor, on cgroup v1, dies of one."""
        if container.status.state == "paused":
            with suppress(NotFoundError):
                self._limiter(container).freeze(container.id, False)

    def _kill_all(self, container: Container, supervisor: Process) -> None:
        self._signal(container, _SIGKILL)
        self._thaw(container)
        if not supervisor.wait_gone(_PATIENCE):
            self._limiter(container).kill(container.id)
            if not supervisor.wait_gone(_LAST_PATIENCE):
                raise CmanagerError(f"container {container.id[:12]} does not end after SIGKILL, see `cmanager top`")

    def _limiter(self, container: Container) -> Any:
        return self._plugins.get("limiter", container.providers.limiter)
