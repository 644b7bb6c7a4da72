"""Believing nothing: records are compared with the kernel, and what a death left is finished.

`judge` is a pure function of a record and what is alive; `Reconciler.settle` carries its verdict out.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Literal

import attrs

from ..errors import CmanagerError, ConflictError, NotFoundError
from ..linux import files
from ..linux.process import boot_id
from ..model.container import Container, State, Status
from ..model.glimpse import ShownStatus
from ..model.usage import Usage
from ..plugins import Plugins
from ..state import Store
from ..supervisor.announce import Announcer

Verdict = Literal["fine", "interrupted", "lost", "rebooted"]

LOST_CODE = 137
REBOOTED_CODE = 255


def judge(status: Status | ShownStatus, *, supervisor_alive: bool, same_boot: bool) -> Verdict:
    """What a record means.

    fine: believe it; interrupted: whoever was starting it died; lost: its supervisor died under it; rebooted: the host
    restarted while it ran.
    """
    if status.supervisor is None or supervisor_alive:
        return "fine"
    if not status.runs:
        return "interrupted"
    return "lost" if same_boot else "rebooted"


class Reconciler:
    """Brings records and kernel together; safe to run in any number of processes at once."""

    def __init__(self, store: Store, plugins: Plugins, announcer: Announcer) -> None:
        self._store, self._plugins, self._announcer = store, plugins, announcer

    def is_fine(self, status: Status | ShownStatus) -> bool:
        """Whether a record is to be believed. Costs one look at /proc."""
        return self._verdict(status) == "fine"

    def settled(self, container: Container) -> Container | None:
        """The container as it really is; None when that means it is gone (`--rm`).

        Costs one look at /proc for a container that is well.
        """
        if self.is_fine(container.status):
            return container
        try:
            with self._store.locked(container.id, wait=False):
                try:
                    container = self._store.load(container.id)
                except NotFoundError:
                    return None
                return self.settle_locked(container)
        except ConflictError:
            return container  # somebody is at work on it right now
        except (CmanagerError, OSError) as error:
            # A plugin that is gone, a full disk: one container that cannot be settled must not hide the others.
            status = container.status
            state: State = "lost" if status.runs else status.state
            return attrs.evolve(container, status=attrs.evolve(status, state=state, restart_at=0.0, error=str(error)))

    def settle_locked(self, container: Container) -> Container | None:
        """The same for a caller that holds the container's lock."""
        status = container.status
        verdict = self._verdict(status)
        if verdict == "fine":
            return container
        from ..supervisor.steps import start_steps, unwind

        used = Usage()
        if verdict == "lost":
            with suppress(CmanagerError):
                limiter = self._plugins.get("limiter", container.providers.limiter)
                limiter.kill(container.id)
                used = limiter.usage(container.id)
            if status.init:
                status.init.send(9)
                status.init.wait_gone(5)
        with suppress(CmanagerError):
            self._plugins.get("runtime", container.providers.runtime).delete(container.id)
        left = unwind(start_steps(self._plugins, self._store.paths, container))
        code = LOST_CODE if verdict == "lost" else REBOOTED_CODE
        if verdict != "interrupted":
            self._announcer.container("die", container, exitCode=str(code))
        if container.request.remove and not left:
            self.forget(container)
            self._announcer.container("destroy", container)
            return None
        calm = attrs.evolve(status, supervisor=None, init=None, netns="", cgroup="", attachment=None, restart_at=0.0)
        if verdict == "lost":
            error = self._last_words(container.id)
            ended = attrs.evolve(calm, state="lost", exit_code=code, error=error, usage=used)
        elif verdict == "rebooted":
            ended = attrs.evolve(calm, state="stopped", exit_code=code, error="the host was restarted")
        else:
            ended = attrs.evolve(calm, error=calm.error or "its start was interrupted")
        if verdict != "interrupted":
            ended = attrs.evolve(ended, finished_at=time.time())
        if left:
            ended = attrs.evolve(ended, error="; ".join((ended.error, *left))[:1000])
        self._store.save_status(container.id, ended, durable=True)
        return attrs.evolve(container, status=ended)

    def forget(self, container: Container, *, anonymous: bool = False) -> None:
        """Remove a container that does not run: its root file system, then its record.

        anonymous: its anonymous volumes before that, which a container with `remove` set always takes along.
        """
        from ..supervisor import attachments, volumes

        with suppress(CmanagerError):
            attachments.detach(self._plugins, container)  # what could not be when it ended
        if anonymous or container.request.remove:
            try:
                volumes.drop(self._plugins, self._store, container)
            except CmanagerError as error:
                self._announcer.warn(f"an anonymous volume of {container.name} stays: {error}")
        try:
            with suppress(NotFoundError):  # its limiter is not installed any more
                self._plugins.get("limiter", container.providers.limiter).remove(container.id)
        except CmanagerError as error:
            self._announcer.warn(f"the cgroup of {container.name} stays until `cmanager gc` can remove it: {error}")
        self._plugins.get("storage", container.providers.storage).remove(container.id)
        files.remove_tree(self._store.paths.waiters(container.id))
        self._store.remove(container.id, container.name)

    def _last_words(self, id: str) -> str:
        try:
            with open(self._store.paths.fault(id), encoding="utf-8", errors="replace") as file:
                return f"supervisor lost: {file.read()}"
        except OSError:
            return "supervisor lost"

    def _verdict(self, status: Status | ShownStatus) -> Verdict:
        alive = status.supervisor is not None and status.supervisor.alive()
        return judge(status, supervisor_alive=alive, same_boot=status.boot in ("", boot_id()))
