"""The runtime's verbs, as the supervisor calls them."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Any

from attrs import define

from cmanager.errors import CmanagerError, ConflictError, HostError, InvalidError, NotFoundError
from cmanager.linux import executable, programs
from cmanager.linux.process import Process, children, reap
from cmanager.model import Bundle, Features, Stdio

from . import configuration, entering, plan, probing, processes, seccomp, tree
from .place import Place

_LOOK = 0.001  # seconds between two looks at what lxc has started
_END = 10.0  # seconds that lxc-execute has to end after what it ran


@define
class _Created:
    """A container of this process: its lxc-execute, which waits until `start`."""

    held: programs.Held
    place: Place
    program: Process | None = None
    started: bool = False
    code: int | None = None

    @property
    def pid(self) -> int:
        return self.held.pid


class Lxc:
    """Runs bundles with lxc-execute: lxc's init as PID 1, the program as its child (lxc-execute(1)).

    state: durable directory for what was probed; run: on tmpfs, for a directory of each container. The program's own
    process is what the core is told of: it ends the container, and lxc's init would wait for its orphans.
    """

    def __init__(self, state: str, run: str) -> None:
        self._state, self._run = state, run
        self._created: dict[str, _Created] = {}

    def features(self) -> Features:
        """See `cmanager.seams.Runtime.features`."""
        return probing.probed(self._state, self._place(f".probe-{os.getpid()}"))

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        """See `cmanager.seams.Runtime.create`."""
        place = self._place(bundle.id)
        old = place.monitor()
        if bundle.id in self._created or (old and old.alive()):
            raise ConflictError(f"container {bundle.id[:12]} was created already")
        planned = plan.read(bundle.path, self.features())
        program = probing.find("lxc-execute")
        policy = planned.config.get("linux", {}).get("seccomp")
        files = {place.config: configuration.text(planned, place)}
        files[place.attach_config] = configuration.attach_text(planned.config["process"])
        if policy:
            files[place.seccomp] = seccomp.translate(policy)
        arguments = planned.config["process"]["args"]
        executable.check(planned.root, planned.mounts, arguments[0], planned.who)
        place.remove()
        try:
            place.make()
            for path, content in files.items():
                with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(content)
            held = self._hold([program, *_words(place), *arguments], planned, place, stdio)
        except OSError as error:
            place.remove()
            raise HostError.of("make the directory of", bundle.id[:12], error) from None
        except BaseException:
            place.remove()
            raise
        self._created[bundle.id] = _Created(held, place)
        place.remember(Process.of(held.pid))
        return held.pid

    def start(self, id: str) -> int:
        """See `cmanager.seams.Runtime.start`."""
        created = self._known(id)
        if created.started:
            raise ConflictError(f"container {id[:12]} was started already")
        created.started = True
        try:
            created.held.release()
        except OSError:
            created.code = 128 + signal.SIGKILL  # it is reaped
            raise CmanagerError(f"container {id[:12]} died before it was started") from None
        created.program = self._wait_for_program(created)
        return created.program.pid if created.program else created.pid

    def wait(self, id: str) -> int:
        """See `cmanager.seams.Runtime.wait`."""
        created = self._known(id)
        if created.code is None:
            if created.program:
                created.program.wait_gone(float("inf"))
            _wait_until_ended(created.pid)
            created.code = reap(created.pid)
        return created.code

    def kill(self, id: str, init: Process, number: int) -> None:
        """See `cmanager.seams.Runtime.kill`."""
        init.signal(number, id)

    def exec(self, bundle: Bundle, init: Process, process: dict[str, Any], stdio: Stdio) -> int:
        """See `cmanager.seams.Exec.exec`."""
        return entering.start(bundle, self._place(bundle.id), init, process, stdio)

    def delete(self, id: str) -> None:
        """See `cmanager.seams.Runtime.delete`."""
        created = self._created.pop(id, None)
        place = self._place(id)
        if created:
            created.held.drop()
        monitor = place.monitor()
        if monitor:
            _end(monitor, at_once=bool(created and not created.started))
        if created and created.code is None:
            created.code = reap(created.pid)
        place.remove()

    def _place(self, id: str) -> Place:
        if not id or "/" in id:
            raise InvalidError(f"not a container id: {id[:80]!r}")
        return Place(self._run, id)

    def _known(self, id: str) -> _Created:
        try:
            return self._created[id]
        except KeyError:
            raise NotFoundError(f"container {id[:12]} was not created by this process, or is deleted") from None

    def _hold(self, argv: list[str], planned: plan.Plan, place: Place, stdio: Stdio) -> programs.Held:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            three = (null, null, null) if planned.terminal else stdio.streams
            return programs.Held(argv, three, prepare=lambda: tree.build(planned, place, stdio.console))
        finally:
            os.close(null)

    def _wait_for_program(self, created: _Created) -> Process | None:
        """The program, None when it has ended already. Raises CmanagerError with lxc's reason when it never ran."""
        pidfd = os.pidfd_open(created.pid)
        try:
            while not select.select([pidfd], [], [], _LOOK)[0]:
                found, ended = processes.look(created.pid)
                if found:
                    return found
                if ended:
                    _wait_until_ended(created.pid)
        finally:
            os.close(pidfd)
        if not created.place.was_started():
            raise CmanagerError(f"lxc-execute: {created.place.reason() or 'it died, see the kernel log'}")
        return None


def _words(place: Place) -> list[str]:
    """Arguments of lxc-execute before the command; quiet, for its stderr is the program's."""
    return ["-n", place.id, "-P", place.above, "-f", place.config, "-o", place.log, "-l", "NOTICE", "-q", "--"]


def _end(monitor: Process, at_once: bool) -> None:
    """End what an lxc-execute runs, so that it ends as after any other life, and itself when it does not."""
    deadline = time.monotonic() + (0 if at_once else _END)
    while monitor.alive():
        if time.monotonic() >= deadline:
            monitor.send(signal.SIGKILL)
        processes.end_below(monitor.pid)
        monitor.wait_gone(10 * _LOOK)


def _wait_until_ended(monitor: int) -> None:
    """Until lxc-execute has ended, after the program: lxc's init would wait for what that left behind."""
    pidfd = os.pidfd_open(monitor)
    try:
        while not select.select([pidfd], [], [], _LOOK)[0]:
            for init in children(monitor)[:1]:
                processes.end_below(init)
    finally:
        os.close(pidfd)
