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
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn

import attrs
from attrs import define, field

from ..errors import CmanagerError, CommandError
from ..linux import mounts
from ..linux.process import Process, boot_id, children, reap, reap_others
from ..model.usage import Usage
from ..oci import health
from ..plugins import Plugins
from ..seams import Adopt, Exec
from ..state import Store
from . import departure, restart
from .accounting import Accounts
from .background import detach, drain, keep_fault, say, wakeable
from .book import Book
from .health import Monitor
from .heir import Estate, Heir
from .launch import GO, Launch
from .life import Life
from .output import Output
from .stdio import Streams
from .steps import Mark, Step, ipc_owner, namespaces, network_name, run, start_steps, unwind
from .stopping import Stopping

#: Seconds after which a container that runs is left to the heir.
_YOUTH = 1.0


def supervise(
    launch: Launch, plugins: Plugins, report: socket.socket, client: socket.socket | None, lock: int
) -> NoReturn:
    """Run one container from creation to the last undo, in a process that was just forked, then exit. Never raises."""
    try:
        detach({report.fileno(), client.fileno() if client else -1, lock})
    except BaseException as error:
        say(report, error)
        os._exit(0)
    work(launch, plugins, report, client, lock)


def work(
    launch: Launch,
    plugins: Plugins,
    report: socket.socket,
    client: socket.socket | None,
    lock: int,
    heir: Heir | None = None,
) -> NoReturn:
    """The same in a process that is detached already and has no other descriptors, and may have an heir."""
    try:
        _Supervisor(launch, plugins, heir).run(report, client, lock)
    except BaseException as error:
        keep_fault(launch.paths.fault(launch.container.id), error)
        say(report, error)
    finally:
        os._exit(0)


def resume(estate: Estate, streams: Streams, output: Output) -> NoReturn:
    """Go on in the heir."""
    launch = estate.launch
    try:
        os.environ.clear()
        os.environ.update(estate.environment)
        time.tzset()
        plugins = Plugins(estate.config, launch.paths.root, launch.paths.run_root)
        _Supervisor(launch, plugins).go_on(estate, streams, output)
    except BaseException as error:
        keep_fault(launch.paths.fault(launch.container.id), error)
    finally:
        os._exit(0)


@define
class _Chapter:
    """A life so far. began: when its program did (`time.monotonic()`); pause: seconds that were waited before; told: as
    of `Accounts`."""

    began: float = field(factory=time.monotonic)
    pause: float = 0.0
    told: Mapping[str, int] = field(factory=dict)


class _Supervisor:
    """The values that live as long as the container does, through all its restarts.

    heir: whom the container may be left to, and who is known as its supervisor; None for nobody.
    """

    def __init__(self, launch: Launch, plugins: Plugins, heir: Heir | None = None) -> None:
        self._launch, self._heir = launch, heir
        self._report: socket.socket | None = None
        self._id = launch.container.id
        self._plugins = plugins
        self._book = Book(Store(launch.paths), plugins, launch.container)
        self._wake = wakeable()
        self._marks: list[Mark] = []  # that nobody was told of

    def run(self, report: socket.socket, client: socket.socket | None, lock: int) -> None:
        """All lives; an error before the program runs for the first time is reported and undone."""
        self._report = report
        self._output = Output.of(self._launch.container, self._book.log, self._launch.image.env)
        self._book.record(
            supervisor=Process.of(self._heir.pid if self._heir else os.getpid()), boot=boot_id(), dropped=()
        )
        first = self._life(client)
        try:
            self._begin(first)
        except BaseException as error:
            say(report, error, self._marks)
            first.streams.finish(getattr(error, "exit_code", 125))
            return
        say(report, None, self._marks)
        # With its last step the program began.
        self._marks = [("program", "do", moment) for _, _, moment in self._marks[-1:]]
        os.close(lock)
        self._live(first, _Chapter())

    def go_on(self, estate: Estate, streams: Streams, output: Output) -> None:
        """What is left of a life, and all further lives."""
        self._output = output
        self._book.reload()
        life = Life(self._launch, self._book.container, self._plugins, streams, self._enter, self._book.record)
        try:
            life.resume(estate.pid)
        except CmanagerError as error:
            self._book.warned.append(str(error))
        self._live(life, _Chapter(estate.began, estate.pause, estate.told))

    def _live(self, life: Life | None, chapter: _Chapter) -> None:
        self._book.patient = True
        while life:
            accounts = self._accounts(chapter.told)
            again = self._until_end(life, accounts, chapter)
            self._take_time("record", "do", time.monotonic())
            code = self._ended(life)
            pause = restart.pause(chapter.pause, time.monotonic() - chapter.began)
            usage = accounts.last()
            accounts.close()
            life = self._after(life, code, usage, pause, again)
            chapter = _Chapter(pause=pause)

    def _life(self, client: socket.socket | None) -> Life:
        request = self._book.container.request
        streams = Streams(self._output, client, once=request.interactive and not request.tty)
        streams.make(interactive=request.interactive, terminal=request.tty)
        return Life(self._launch, self._book.container, self._plugins, streams, self._enter, self._book.record)

    def _enter(self) -> None:
        if self._heir:
            self._heir.enter()
        else:
            mounts.make_private_namespace()

    def _begin(self, life: Life) -> None:
        run(life.steps, self._observe)
        self._book.announce("start")
        if self._book.warned:
            self._book.record(warnings=self._warnings())

    def _take_time(self, name: str, phase: str, moment: float) -> None:
        """An `Observe` for those who hear of it later."""
        if self._launch.timed:
            self._marks.append((name, phase, moment))

    def _observe(self, name: str, phase: str, moment: float) -> None:
        self._take_time(name, phase, moment)
        if not self._launch.observed:
            return
        try:
            assert self._report, "who observes hears of it"
            self._report.send(json.dumps({"step": (name, phase, moment)}).encode())
            answer = self._report.recv(4096)
        except OSError:
            return  # whoever watched is gone; the start goes on
        if answer not in (GO, b""):
            raise CmanagerError(answer.decode("utf-8", "replace"))

    # -- while it runs -------------------------------------------------------------------------------------------

    def _accounts(self, told: Mapping[str, int]) -> Accounts:
        limiter = self._plugins.get("limiter", self._book.container.providers.limiter)
        return Accounts(limiter, self._id, self._launch.namespaces.get("network", ""), self._book.announce, told)

    def _until_end(self, life: Life, accounts: Accounts, chapter: _Chapter) -> bool:
        """Serve the streams, ask for its health and hear of its limits until the program has ended.

        True is returned when it shall start again whatever its policy says.
        """
        monitor = self._monitor(life)
        stopping = Stopping(life.runtime, self._id, self._book.status.init, self._book.container.request)
        try:
            while True:
                heard = (self._wake, monitor.fd if monitor else -1, accounts.fd)
                dues = (monitor.due if monitor else None, stopping.due, accounts.due)
                others, waits = tuple(fd for fd in heard if fd >= 0), [due for due in dues if due is not None]
                if not waits and self._heir:
                    if (youth := chapter.began + _YOUTH - time.monotonic()) > 0:
                        waits = [youth]
                    elif not monitor:
                        self._leave(life, accounts, chapter)
                if life.streams.until_end(life.pid, others, min(waits, default=None)):
                    return stopping.again
                drain(self._wake)
                reap_others(life.children | self._output.children | {monitor.child if monitor else 0})
                if self._output.news:
                    self._tell_dropped()
                stopping.tick()
                accounts.tick()
                if monitor and monitor.tick(self._book.paused):
                    self._heard(monitor, stopping)
                    accounts.look()
        finally:
            if monitor:
                monitor.close()

    def _leave(self, life: Life, accounts: Accounts, chapter: _Chapter) -> None:
        """Leave the container to the heir, and end, where there is nothing to do that only this process can."""
        calm = life.streams.calm and self._output.simple and not self._marks
        alone = isinstance(life.runtime, Adopt) and set(children(os.getpid())) == {life.pid}
        if not (self._heir and calm and alone):
            return
        if self._book.warned:
            # A command that holds the lock must not hold up the container, which then is not left.
            with suppress(CmanagerError), self._book.locked(wait=False):
                self._book.reload()
                self._book.record(warnings=self._warnings())
                self._book.warned.clear()
            if self._book.warned:
                return
        launch = attrs.evolve(self._launch, container=self._book.container, observed=False, timed=False)
        lived = (life.pid, chapter.began, chapter.pause, accounts.told)
        estate = Estate(launch, self._plugins.config, *lived, dict(os.environ))
        self._heir.leave(estate, self._output.log, life.streams.roles, accounts.descriptors)

    def _ended(self, life: Life) -> int:
        """Its exit code. A runtime whose own process has died leaves the container to us, a subreaper (prctl(2))."""
        try:
            code: int = life.runtime.wait(self._id)
        except CmanagerError as error:
            try:
                code = reap(life.pid)
            except ChildProcessError:
                raise error from None
            self._book.warned.append(str(error))
        return code

    def _monitor(self, life: Life) -> Monitor | None:
        check = health.effective(self._book.container.request.health, self._launch.image.healthcheck)
        if check is None or not isinstance(life.runtime, Exec) or self._book.status.init is None:
            return None
        monitor = Monitor(check, life.runtime, life.bundle, self._book.status.init)
        self._book.change(health=monitor.health)
        return monitor

    def _heard(self, monitor: Monitor, stopping: Stopping) -> None:
        before, now = self._book.status.health, monitor.health
        turned = before is None or before.status != now.status
        action = self._book.container.request.health.on_unhealthy if turned and now.status == "unhealthy" else "none"
        self._book.change(health=now, **({"stop_requested": True} if action == "stop" else {}))
        if turned:
            self._book.announce(f"health_status: {now.status}")
        stopping.begin(action)

    def _tell_dropped(self) -> None:
        dropped = self._output.tell()
        # A command that holds the lock, or a full disk, must not hold up the container: the next time will do.
        with suppress(CmanagerError), self._book.locked(wait=False):
            self._book.reload()
            self._book.record(dropped=dropped)

    # -- after it has ended --------------------------------------------------------------------------------------

    def _after(self, life: Life, code: int, usage: Usage, pause: float, again: bool) -> Life | None:
        """Keep what is known of a life and undo it; the next one, or None when it was the last."""
        self._output.drain()
        with self._book.locked():
            # Commands write to the record too: renamed, updated, asked to stop.
            self._book.reload()
            status = self._book.status
            again = not status.stop_requested and (
                again or restart.wanted(self._book.container.request.restart, status, code)
            )
            if not again:
                self._output.close()
            self._book.record(
                durable=True,
                state="stopped",
                init=None,
                finished_at=time.time(),
                exit_code=code,
                oom_killed=bool(usage.oom_kills),
                usage=usage,
                restart_at=time.time() + pause if again else 0.0,
                warnings=self._warnings(),
                dropped=self._output.dropped,
            )
            self._book.announce("die", exitCode=str(code))
            self._take_time("record", "done", time.monotonic())
            if again:
                self._book.record(error="; ".join(unwind(life.steps))[:1000])
            else:
                self._end(code, life.steps, lambda: self._part(life, code, usage))
        if again:
            self._part(life, code, usage)
        reap_others(self._output.children)
        return self._next_life(pause) if again else None

    def _part(self, life: Life, code: int, usage: Usage) -> None:
        life.streams.finish(code, usage, self._marks)
        self._marks = []

    def _next_life(self, pause: float) -> Life | None:
        """Wait, unless somebody wants it to end, and begin again; a start that fails counts as a life that failed."""
        while True:
            self._sleep(pause)
            with self._book.locked():
                self._book.reload()
                if self._book.status.stop_requested:
                    self._end(self._book.status.exit_code or 0, [])
                    return None
                self._book.record(restarts=self._book.status.restarts + 1)
                pause = restart.pause(pause, 0)
                try:
                    return self._again()
                except Exception as error:
                    code = getattr(error, "exit_code", 125)
                    policy = self._book.container.request.restart
                    # What cannot be executed will not be the next time either.
                    hope = not isinstance(error, CommandError) and restart.wanted(policy, self._book.status, code)
                    at = time.time() + pause if hope else 0.0
                    self._book.record(
                        state="stopped", init=None, error=str(error)[:1000], exit_code=code, restart_at=at
                    )
                    if not hope:
                        self._end(code, [])
                        return None

    def _again(self) -> Life:
        """Begin a life anew: other containers may have other first processes by now, and the limiter counts anew."""
        limiter = self._plugins.get("limiter", self._book.container.providers.limiter)
        limiter.create(self._id, self._book.container.request.limits)
        if (rate := self._book.container.request.rate) != self._launch.container.request.rate:
            # It was changed while nothing ran.
            self._plugins.get("network", network_name(self._book.container)).shape(self._id, rate)
        self._launch = attrs.evolve(
            self._launch,
            container=self._book.container,
            namespaces=namespaces(self._launch.paths, self._book.container, self._book.other),
            ipc_owner=ipc_owner(self._book.container, self._book.other),
        )
        life = self._life(None)
        try:
            self._begin(life)
        except BaseException as error:
            life.streams.finish(getattr(error, "exit_code", 125))
            raise
        return life

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0 and not self._book.stop_requested():
            poller.poll(left * 1000)
            drain(self._wake)

    def _end(self, code: int, begun: list[Step], told: Callable[[], None] = lambda: None) -> None:
        """Undo everything, and tell whoever waits as soon as nothing that they could want is left.

        told: tells the clients. The caller holds the lock until all is undone.
        """
        self._output.close()
        steps = start_steps(self._plugins, self._launch.paths, self._book.container)
        left = unwind([*(step for step in steps if not step.late), *begun], self._take_time)
        self._output.end()
        removed = self._book.container.request.remove
        if removed:
            self._take_time("remove", "do", time.monotonic())
            departure.remove(self._book, self._plugins, left)
            self._take_time("remove", "done", time.monotonic())
        departure.tell_waiters(self._launch.paths.waiters(self._id), code)
        told()
        left += unwind(step for step in steps if step.late)
        if removed:
            self._book.store.forget_lock(self._id)
        else:
            self._book.record(
                supervisor=None,
                attachment=None,
                netns="",
                cgroup="",
                restart_at=0.0,
                error="; ".join(left)[:1000] or self._book.status.error,
                warnings=self._warnings(),
                dropped=self._output.dropped,
            )

    def _warnings(self) -> tuple[str, ...]:
        """Those of the record, what listeners failed at so far, and what of the output was lost."""
        return tuple(dict.fromkeys(self._output.warnings(self._book.warnings())))
