"""What the supervisor does, from its first line to its last.

It is forked, single-threaded and small; it holds no lock while the container runs, and nothing it does waits for the
command that started it.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from contextlib import suppress
from typing import NoReturn

import attrs

from ..errors import CmanagerError, HostError
from ..linux import files, inroot, mounts
from ..linux.mounts import Mount
from ..linux.process import Process, boot_id
from ..model.container import Status
from ..model.limits import Usage
from ..model.runtime import Bundle
from ..oci import security, spec, users
from ..plugins import Plugins
from ..state import Store
from ..state.journal import Journal
from . import etc, rootfs, volumes
from .announce import Announcer
from .background import detach, say
from .launch import GO, Launch
from .log import Log
from .stdio import Streams
from .steps import Step, hostname, run, start_steps, unwind


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
    """The values that live as long as the container does."""

    def __init__(
        self, launch: Launch, plugins: Plugins, report: socket.socket, client: socket.socket | None, lock: int
    ) -> None:
        self._launch, self._report, self._client, self._lock = launch, report, client, lock
        self._container = launch.container
        self._id = launch.container.id
        self._store = Store(launch.paths)
        self._plugins = plugins
        self._runtime = plugins.get("runtime", launch.container.providers.runtime)
        self._directory = launch.paths.bundle(self._id)
        self._status = attrs.evolve(launch.container.status, supervisor=Process.of(os.getpid()), boot=boot_id())
        self._streams: Streams | None = None
        self._log: Log | None = None
        self._warnings: list[str] = []
        self._announcer = Announcer(plugins, Journal(launch.paths.events), self._warnings.append)

    def run(self) -> None:
        """The whole life; an error before the program runs is reported and undone."""
        self._store.save_status(self._id, self._status)
        made = self._steps()
        try:
            pid = run(made, self._observe)["create"]
            self._announce("start")
            if self._warnings:
                self._status = self._warned(self._status)
                self._store.save_status(self._id, self._status)
        except BaseException as error:
            say(self._report, error)
            if self._streams:
                self._streams.finish(getattr(error, "exit_code", 125))
            return
        say(self._report, None)
        os.close(self._lock)
        assert self._streams is not None, "made by its step"
        self._streams.until_end(pid)
        self._end(made)

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

    def _steps(self) -> list[Step]:
        return [
            Step("mount", "mount its root file system", self._mount, lambda: rootfs.unmount(self._directory)),
            Step("fill", "fill new volumes from the image", lambda: volumes.attach(self._launch, self._directory)),
            Step("bundle", "write its OCI configuration", self._bundle, takes=("fill",)),
            Step("create", "create it", self._create, lambda: self._runtime.delete(self._id)),
            Step("start", "execute its program", lambda create: self._start(create), takes=("create",)),
        ]

    def _mount(self) -> None:
        try:
            mounts.make_private_namespace()
        except OSError as error:
            # EINVAL: in a plain chroot the root is no mount, and no process in it can change its root (pivot_root(2)).
            raise HostError.of("make mounts private below", "/", error) from None
        own_range = self._container.user_map
        userns = self._launch.namespaces.get("user", "") if own_range else ""
        rootfs.mount(self._launch.rootfs, self._directory, userns, own_range[0] if own_range else 0)

    def _bundle(self, fill: tuple[Mount, ...]) -> None:
        container, launch = self._container, self._launch
        request, run_dir = container.request, launch.paths.run_dir(self._id)
        request = attrs.evolve(request, mounts=(*request.mounts, *fill))
        root = inroot.open_root(f"{self._directory}/rootfs")
        try:
            rootfs.check(root, request.image)
            user = users.resolve(root, request.user or launch.image.user)
            workdir = request.workdir or launch.image.working_dir
            if workdir:
                self._make_workdir(root, workdir)
        finally:
            os.close(root)
        around = spec.Surroundings(
            hostname=hostname(container),
            namespaces=launch.namespaces,
            cgroup=container.status.cgroup,
            etc=etc.mounts(run_dir, launch.hosts),
            id_map=container.user_map,
            shm=rootfs.share_shm(launch.ipc_owner, self._directory) if launch.ipc_owner else "/dev/shm",
        )
        allowed = security.decide(
            privileged=request.privileged,
            add=request.cap_add,
            drop=request.cap_drop,
            options=request.security,
            machine=platform.machine(),
        )
        config = spec.build(self._id, request, launch.image, container.argv, user, allowed, around)
        spec.amend(config, self._plugins.amend(json.loads(json.dumps(config))))
        files.write_atomic(f"{self._directory}/config.json", json.dumps(config).encode())

    def _make_workdir(self, root: int, path: str) -> None:
        try:
            os.close(inroot.make_directory(root, path))
        except OSError as error:
            raise HostError.of("use as working directory", path, error) from None

    def _create(self) -> int:
        request = self._container.request
        self._log = Log(f"{self._store.home(self._id)}/log")
        self._streams = Streams(
            self._log,
            self._client,
            interactive=request.interactive,
            terminal=request.tty,
            once=request.interactive and not request.tty,
        )
        self._streams.listen(self._launch.paths.attach(self._id))
        pid: int = self._runtime.create(Bundle(self._id, self._directory), self._streams.stdio)
        self._streams.given()
        self._status = attrs.evolve(self._status, init=Process.of(pid))
        self._store.save_status(self._id, self._status)
        return pid

    def _start(self, pid: int) -> None:
        self._runtime.start(self._id)
        self._status = attrs.evolve(
            self._status, state="running", started_at=time.time(), finished_at=0.0, exit_code=None, error=""
        )
        self._store.save_status(self._id, self._status)

    def _end(self, made: list[Step]) -> None:
        """The program has ended: keep what is known of it, undo everything, tell whoever waits."""
        code = self._runtime.wait(self._id)
        usage = self._usage()
        assert self._streams is not None, "made by its step"
        warnings = self._status.warnings
        if self._log and self._log.dropped:
            warnings = (*warnings, f"the log could not be written, {self._log.dropped} bytes were lost")
        with self._store.locked(self._id):
            ended = attrs.evolve(
                self._status,
                state="stopped",
                init=None,
                finished_at=time.time(),
                exit_code=code,
                oom_killed=bool(usage.oom_kills),
                usage=usage,
                warnings=warnings,
            )
            self._store.save_status(self._id, ended, durable=True)
            steps = [*start_steps(self._plugins, self._launch.paths, self._container), *made]
            left = unwind(steps)
            if ended.oom_killed:
                self._announce("oom")
            self._announce("die", exitCode=str(code))
            if self._container.request.remove:
                self._remove(left)
            else:
                gone = Status(**{**attrs.asdict(ended, recurse=False), "supervisor": None, "attachment": None})
                gone = attrs.evolve(gone, netns="", cgroup="", error="; ".join(left)[:1000])
                self._store.save_status(self._id, self._warned(gone))
            self._tell_waiters(code)
        self._streams.finish(code)

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

    def _warned(self, status: Status) -> Status:
        """With what listeners failed at so far."""
        return attrs.evolve(status, warnings=tuple(dict.fromkeys((*status.warnings, *self._warnings))))
