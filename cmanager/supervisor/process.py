"""What the supervisor does, from its first line to its last.

It is forked, single-threaded and small; it holds no lock while the container runs, and nothing it does waits for the
command that started it. SIGUSR1 wakes it: then it reads its container's record anew.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from contextlib import suppress
from typing import Any, NoReturn

import attrs

from ..errors import CmanagerError, CommandError, HostError
from ..linux import files
from ..linux.process import Process, boot_id
from ..model.container import Container, Status
from ..model.limits import Usage
from ..oci import health
from ..plugins import Plugins
from ..seams import Exec
from ..state import Store
from ..state.journal import Journal
from . import restart, volumes
from .announce import Announcer
from .background import detach, say, wakeable
from .health import Monitor
from .launch import GO, Launch
from .life import Life
from .output import Output
from .steps import Step, ipc_owner, namespaces, run, start_steps, unwind
from .stopping import Stopping


def supervise(
    launch: Launch, plugins: Plugins, report: socket.socket, client: socket.socket | None, lock: int
) -> NoReturn:
    """Run one container from creation to the last undo, then exit. Never raises."""
    try:
        detach({report.fileno(), client.fileno() if client else -1, lock})
        _Supervisor(launch, plugins, report, client, lock).run()
    except BaseException as error:
        _keep_fault(launch, error)
        say(report, error)
    finally:
        os._exit(0)


def _keep_fault(launch: Launch, error: BaseException) -> None:
    """A supervisor that ends before its container is lost: reconcile tells what it died of."""
    text = f"{type(error).__name__}: {error}"
    with suppress(OSError):
        files.write_atomic(launch.paths.fault(launch.container.id), text.encode("utf-8", "replace")[:1000])


class _Supervisor:
    """The values that live as long as the container does, through all its restarts."""

    def __init__(
        self, launch: Launch, plugins: Plugins, report: socket.socket, client: socket.socket | None, lock: int
    ) -> None:
        self._launch, self._report, self._client, self._lock = launch, report, client, lock
        self._container = launch.container
        self._id = launch.container.id
        self._store = Store(launch.paths)
        self._plugins = plugins
        self._status = attrs.evolve(
            launch.container.status, supervisor=Process.of(os.getpid()), boot=boot_id(), dropped=()
        )
        self._warnings: list[str] = []
        self._announcer = Announcer(plugins, Journal(launch.paths.events), self._warnings.append)
        log = f"{self._store.home(self._id)}/log"
        self._output = Output.of(self._container, log, launch.image.env)
        self._wake = wakeable()
        self._told = False

    def run(self) -> None:
        """All lives; an error before the program runs for the first time is reported and undone."""
        self._record()
        first = self._life(self._client)
        try:
            self._begin(first)
        except BaseException as error:
            say(self._report, error)
            first.streams.finish(getattr(error, "exit_code", 125))
            return
        say(self._report, None)
        self._told = True
        os.close(self._lock)
        life: Life | None = first
        pause = 0.0
        while life:
            began = time.monotonic()
            again = self._until_end(life)
            code = life.runtime.wait(self._id)
            pause = restart.pause(pause, time.monotonic() - began)
            life = self._after(life, code, pause, again)

    def _life(self, client: socket.socket | None) -> Life:
        return Life(self._launch, self._container, self._plugins, self._output, client, self._record)

    def _begin(self, life: Life) -> None:
        run(life.steps, self._observe)
        self._announce("start")
        if self._warnings:
            self._record(warnings=self._with_warnings(self._status))

    def _record(self, *, durable: bool = False, **changes: Any) -> None:
        """Change the record; the caller holds the lock. Once it runs, a full disk must not end it."""
        self._status = attrs.evolve(self._status, **changes)
        try:
            self._store.save_status(self._id, self._status, durable=durable)
        except HostError as error:
            if not self._told:
                raise
            self._warnings.append(f"its state could not be recorded: {error}")

    def _change(self, **changes: Any) -> None:
        """The same for a caller without the lock: on top of what commands have written meanwhile."""
        with self._store.locked(self._id):
            self._status = self._store.load(self._id).status
            self._record(**changes)

    def _observe(self, name: str, phase: str, seconds: float) -> None:
        if not self._launch.observed:
            return
        try:
            self._report.send(json.dumps({"step": (name, phase, seconds)}).encode())
            answer = self._report.recv(4096)
        except OSError:
            return  # whoever watched is gone; the start goes on
        if answer not in (GO, b""):
            raise CmanagerError(answer.decode("utf-8", "replace"))

    # -- while it runs -------------------------------------------------------------------------------------------

    def _until_end(self, life: Life) -> bool:
        """Serve the streams and ask for its health until the program has ended.

        True is returned when it shall start again whatever its policy says.
        """
        monitor = self._monitor(life)
        stopping = Stopping(life.runtime, self._id, self._status.init, self._container.request)
        try:
            while True:
                others = (self._wake, *((monitor.fd,) if monitor and monitor.fd >= 0 else ()))
                waits = [wait for wait in (monitor.due if monitor else None, stopping.due) if wait is not None]
                if life.streams.until_end(life.pid, others, min(waits, default=None)):
                    return stopping.again
                _drain(self._wake)
                _reap({life.pid, monitor.child if monitor else 0})
                if self._output.news:
                    self._tell_dropped()
                stopping.tick()
                if monitor and monitor.tick(self._paused):
                    self._heard(monitor, stopping)
        finally:
            if monitor:
                monitor.close()

    def _monitor(self, life: Life) -> Monitor | None:
        check = health.effective(self._container.request.health, self._launch.image.healthcheck)
        if check is None or not isinstance(life.runtime, Exec) or self._status.init is None:
            return None
        monitor = Monitor(check, life.runtime, life.bundle, self._status.init)
        self._change(health=monitor.health)
        return monitor

    def _heard(self, monitor: Monitor, stopping: Stopping) -> None:
        before, now = self._status.health, monitor.health
        turned = before is None or before.status != now.status
        action = self._container.request.health.on_unhealthy if turned and now.status == "unhealthy" else "none"
        self._change(health=now, **({"stop_requested": True} if action == "stop" else {}))
        if turned:
            self._announce(f"health_status: {now.status}")
        stopping.begin(action)

    def _tell_dropped(self) -> None:
        dropped = self._output.tell()
        # A command that holds the lock, or a full disk, must not hold up the container: the next time will do.
        with suppress(CmanagerError), self._store.locked(self._id, wait=False):
            self._status = attrs.evolve(self._store.load(self._id).status, dropped=dropped)
            self._record()

    def _paused(self) -> bool:
        return self._store.load(self._id).status.state == "paused"

    # -- after it has ended --------------------------------------------------------------------------------------

    def _after(self, life: Life, code: int, pause: float, again: bool) -> Life | None:
        """Keep what is known of a life and undo it; the next one, or None when it was the last."""
        usage = self._usage()
        self._output.drain()
        with self._store.locked(self._id):
            # Commands write to the record too: renamed, updated, asked to stop.
            self._container = self._store.load(self._id)
            status = self._container.status
            again = not status.stop_requested and (
                again or restart.wanted(self._container.request.restart, status, code)
            )
            if not again:
                self._output.close()
            self._status = status
            self._record(
                durable=True,
                state="stopped",
                init=None,
                finished_at=time.time(),
                exit_code=code,
                oom_killed=bool(usage.oom_kills),
                usage=usage,
                restart_at=time.time() + pause if again else 0.0,
                warnings=self._with_warnings(status),
                dropped=self._output.dropped,
            )
            if self._status.oom_killed:
                self._announce("oom")
            self._announce("die", exitCode=str(code))
            if again:
                self._record(error="; ".join(unwind(life.steps))[:1000])
            else:
                self._end(code, life.steps)
        life.streams.finish(code)
        _reap(set())
        return self._next_life(pause) if again else None

    def _next_life(self, pause: float) -> Life | None:
        """Wait, unless somebody wants it to end, and begin again; a start that fails counts as a life that failed."""
        while True:
            self._sleep(pause)
            with self._store.locked(self._id):
                self._container = self._store.load(self._id)
                self._status = self._container.status
                if self._status.stop_requested:
                    self._end(self._status.exit_code or 0, [])
                    return None
                self._status = attrs.evolve(self._status, restarts=self._status.restarts + 1)
                pause = restart.pause(pause, 0)
                try:
                    return self._again()
                except Exception as error:
                    code = getattr(error, "exit_code", 125)
                    policy = self._container.request.restart
                    # What cannot be executed will not be the next time either.
                    hope = not isinstance(error, CommandError) and restart.wanted(policy, self._status, code)
                    at = time.time() + pause if hope else 0.0
                    self._record(state="stopped", init=None, error=str(error)[:1000], exit_code=code, restart_at=at)
                    if not hope:
                        self._end(code, [])
                        return None

    def _again(self) -> Life:
        """Begin a life anew: other containers may have other first processes by now, and the limiter counts anew."""
        limiter = self._plugins.get("limiter", self._container.providers.limiter)
        limiter.create(self._id, self._container.request.limits)
        self._launch = attrs.evolve(
            self._launch,
            namespaces=namespaces(self._launch.paths, self._container, self._find),
            ipc_owner=ipc_owner(self._container, self._find),
        )
        life = self._life(None)
        try:
            self._begin(life)
        except BaseException as error:
            life.streams.finish(getattr(error, "exit_code", 125))
            raise
        return life

    def _find(self, word: str) -> Container:
        return self._store.load(self._store.find(word))

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0 and not self._stop_requested():
            poller.poll(left * 1000)
            _drain(self._wake)

    def _stop_requested(self) -> bool:
        return self._store.load(self._id).status.stop_requested

    def _end(self, code: int, begun: list[Step]) -> None:
        """Undo everything, tell whoever waits. The caller holds the lock."""
        self._output.close()
        left = unwind([*start_steps(self._plugins, self._launch.paths, self._container), *begun])
        if self._container.request.remove:
            self._remove(left)
        else:
            self._record(
                supervisor=None,
                attachment=None,
                netns="",
                cgroup="",
                restart_at=0.0,
                error="; ".join(left)[:1000] or self._status.error,
                warnings=self._with_warnings(self._status),
                dropped=self._output.dropped,
            )
        self._tell_waiters(code)

    def _tell_waiters(self, code: int) -> None:
        """Write the exit code into the pipes of commands that wait for it (`Engine.wait`)."""
        directory = self._launch.paths.waiters(self._id)
        with suppress(FileNotFoundError):
            for name in os.listdir(directory):
                with suppress(OSError):
                    fd = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                    os.write(fd, b"%d" % code)
                    os.close(fd)
            files.remove_tree(directory)

    def _remove(self, left: list[str]) -> None:
        storage = self._plugins.get("storage", self._container.providers.storage)
        try:
            volumes.drop(self._plugins, self._store, self._container)
            storage.remove(self._id)
            if not left:
                self._store.remove(self._id, self._container.name)
                self._announce("destroy")
        except CmanagerError:
            # The record stays, so that `gc` finds what could not be removed.
            return

    def _usage(self) -> Usage:
        limiter = self._plugins.get("limiter", self._container.providers.limiter)
        try:
            found: Usage = limiter.usage(self._id)
        except CmanagerError:
            return Usage()
        return found

    def _announce(self, action: str, **attributes: str) -> None:
        self._announcer.container(action, self._container, **attributes)

    def _with_warnings(self, status: Status) -> tuple[str, ...]:
        """Those of the record, what listeners failed at so far, and what of the output was lost."""
        return tuple(dict.fromkeys(self._output.warnings((*status.warnings, *self._warnings))))


def _reap(spared: set[int]) -> None:
    """Take the exit codes of what was left to us, a subreaper (prctl(2)), but for those whom somebody waits for."""
    with open("/proc/thread-self/children", encoding="ascii") as file:
        children = {int(pid) for pid in file.read().split()}
    for pid in children - spared:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _drain(fd: int) -> None:
    with suppress(BlockingIOError):
        os.read(fd, 4096)
