"""Commands that are attached: to a container from its start or later, and to one more program in it."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ..errors import CmanagerError, ConflictError, NotFoundError, UnsupportedError
from ..model.container import Container, ExecRequest
from ..oci import execution
from ..seams import Exec
from ..supervisor import attach, launch, steps
from .reconcile import LOST_CODE
from .session import Session

if TYPE_CHECKING:
    from .engine import Engine


class Attaching:
    """Makes sessions for one engine. config: path of its configuration, "" for the usual search."""

    def __init__(self, engine: Engine, config: str) -> None:
        self._engine, self._config = engine, config

    def attach(self, word: str) -> Session:
        """See `Engine.attach`."""
        container = self._engine.inspect(word)
        if not container.status.runs:
            raise ConflictError(f"container {word} is not running, it is {container.status.state}, start it first")
        end = attach.connect(self._engine.paths.attach(container.id))
        self._engine.announcer.container("attach", container)
        return self.session(container, end, late=True)

    def exec(
        self, word: str, request: ExecRequest, *, attached: bool = False, window: tuple[int, int] | None = None
    ) -> Session | None:
        """See `Engine.exec`."""
        container = self._engine.inspect(word)
        self._engine.need_plugins(container, "runtime")
        runtime = self._engine.plugins.get("runtime", container.providers.runtime)
        execution.check(request)
        if container.status.state != "running" or container.status.init is None:
            hint = ", unpause it first" if container.status.state == "paused" else ""
            raise ConflictError(f"container {word} is not running, it is {container.status.state}{hint}")
        if not isinstance(runtime, Exec):
            raise UnsupportedError(f"runtime {container.providers.runtime} cannot honour exec")
        process = execution.process(self._engine.paths.bundle(container.id), container.status.init, request)
        command = " ".join(request.command)
        self._engine.announcer.container(f"exec_create: {command}", container)
        client, theirs = attach.channel() if attached else (None, None)
        if client and window:
            attach.resize(client, *window)
        # Before it runs: it may have ended, and said so, before this process is awake again.
        self._engine.announcer.container(f"exec_start: {command}", container)
        job = launch.ExecLaunch(self._engine.paths, self._config, container, process, request.interactive)
        try:
            launch.start(job, self._engine.plugins, theirs, -1, steps.ignore)
        except BaseException:
            if client:
                client.close()
            raise
        if client is None:
            return None
        return Session(container, client, tty=request.tty, send=lambda number: None, lost=_lost)

    def session(self, container: Container, end: socket.socket, *, late: bool = False) -> Session:
        """A session on a container; `end`: a channel to its supervisor; late: it was running before."""
        id = container.id

        def send(number: int) -> None:
            with suppress(ConflictError, NotFoundError):  # it is ending already
                self._engine.kill(id, str(number))

        ended = partial(self._ended, container)
        return Session(container, end, tty=container.request.tty, send=send, lost=ended, late=late)

    def _ended(self, container: Container) -> int:
        """The code of a container whose supervisor could not tell it any more."""
        try:
            return self._engine.wait(container.id)
        except NotFoundError:
            if container.request.remove:
                return LOST_CODE  # it went with its supervisor
            raise


def _lost() -> int:
    raise CmanagerError("the supervisor of the exec was killed, its exit code is not known")
