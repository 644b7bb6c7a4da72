"""The runtime's verbs, as the supervisor calls them. systemd-nspawn makes a container and is gone when it runs."""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import stat
import time
from contextlib import suppress

from attrs import define

from cmanager.errors import CmanagerError, ConflictError, HostError, NotFoundError
from cmanager.linux import cgroups, executable, files, programs
from cmanager.linux.process import Process, reap
from cmanager.model import Bundle, Context, Features, Stdio
from cmanager.model import bundle as bundles

from . import plan, probing, rootfs
from .handing_over import Inbox

#: Below its own cgroup systemd-nspawn makes these two, for itself and for the container.
_SUPERVISOR, _PAYLOAD = "supervisor", "payload"
_LEAVING = 0.3  # seconds; a process may leave its cgroup only after it was reaped


@define
class _Container:
    """One of this process. held, inbox, place and stderr, the end to read from: until it is started; pid: of what there
    is; code: once it has ended."""

    held: programs.Held | None
    inbox: Inbox
    stderr: int
    place: int
    pid: int
    cgroups: tuple[str, ...]
    code: int | None = None


class Nspawn:
    """Runs bundles with systemd-nspawn. path: the program, or its name.

    For the time of a start there is a directory with the container's id in `Context.run_dir`.
    """

    def __init__(self, context: Context, path: str) -> None:
        self._context = context
        self._path = path
        self._containers: dict[str, _Container] = {}

    def features(self) -> Features:
        """See `cmanager.seams.Runtime.features`."""
        return probing.probed(probing.find(self._path), self._context.state_dir)

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        """See `cmanager.seams.Runtime.create`; the process waits to become systemd-nspawn."""
        if bundle.id in self._containers:
            raise ConflictError(f"container {bundle.id[:12]} was created already")
        config, features = bundles.read(bundle.path), self.features()
        bundles.refuse(config, features, "nspawn")
        planned = plan.make(bundle.path, config)
        executable.check(planned.root, planned.mounts, planned.program, planned.who)
        try:
            return self._hold(bundle, planned, stdio)
        except OSError as error:
            raise HostError.of("prepare a container at", self._directory(bundle.id), error) from None

    def _hold(self, bundle: Bundle, planned: plan.Plan, stdio: Stdio) -> int:
        directory = self._directory(bundle.id)
        with suppress(FileNotFoundError):
            files.remove_tree(directory)
        os.makedirs(directory, mode=0o700)
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        inbox, stderr = None, -1
        made: tuple[str, ...] = ()
        try:
            files.write_atomic(f"{directory}/config.json", json.dumps(planned.dialect).encode())
            inbox = Inbox(f"/proc/self/fd/{place}/notify")
            stderr = _other_end(stdio.stderr)
            made = _join_or_make(planned.cgroup, bundle.id)
            held = programs.Held(
                [*_command(probing.find(self._path), directory, bundle.id), *planned.arguments],
                stdio.streams,
                env=_environment(place, writable=planned.writable),
                directories=made,
                keep=(place,),
                prepare=functools.partial(rootfs.prepare, planned),
            )
        except BaseException:
            _remove_cgroups(made, bundle.id)
            if inbox:
                inbox.close()
            if stderr >= 0:
                os.close(stderr)
            os.close(place)
            files.remove_tree(directory)
            raise
        self._containers[bundle.id] = _Container(held, inbox, stderr, place, held.pid, made)
        return held.pid

    def start(self, id: str) -> int:
        """See `cmanager.seams.Runtime.start`."""
        container = self._known(id)
        held, container.held = container.held, None
        if held is None:
            raise ConflictError(f"container {id[:12]} was started already")
        try:
            held.release()
        except OSError as error:
            container.code = 125
            self._tidy(id, container)
            self.delete(id)
            raise HostError.of("execute", self._path, error) from None
        container.pid, code = container.inbox.take(held.pid)
        words = "" if container.pid else _last_words(container.stderr)
        self._tidy(id, container)
        if not container.pid:
            container.code = 125
            self.delete(id)
            raise CmanagerError(
                f"systemd-nspawn ended with {code} before the program ran: {words or 'no reason given'}"
            )
        return container.pid

    def wait(self, id: str) -> int:
        """See `cmanager.seams.Runtime.wait`."""
        container = self._known(id)
        if container.code is None:
            container.code = reap(container.pid)
        return container.code

    def kill(self, id: str, init: Process, number: int) -> None:
        """See `cmanager.seams.Runtime.kill`."""
        init.signal(number, id)

    def delete(self, id: str) -> None:
        """See `cmanager.seams.Runtime.delete`."""
        container = self._containers.pop(id, None)
        if container:
            if container.held:
                container.held.drop()
                self._tidy(id, container)
            if container.code is None:
                os.kill(container.pid, signal.SIGKILL)
                os.waitpid(container.pid, 0)
        with suppress(FileNotFoundError):
            files.remove_tree(self._directory(id))
        _remove_cgroups(container.cgroups if container else (), id)

    def _directory(self, id: str) -> str:
        return f"{self._context.run_dir}/{id}"

    def _known(self, id: str) -> _Container:
        try:
            return self._containers[id]
        except KeyError:
            raise NotFoundError(f"container {id[:12]} was not created by this process, or is deleted") from None

    def _tidy(self, id: str, container: _Container) -> None:
        """What was needed for the start alone, and what systemd-nspawn would have removed at its end."""
        container.inbox.close()
        if container.stderr >= 0:
            os.close(container.stderr)
        os.close(container.place)
        files.remove_tree(self._directory(id))
        directory = "/run/systemd/nspawn/propagate"
        for path in (f"{directory}/{_machine(id)}", directory, os.path.dirname(directory)):
            with suppress(OSError):  # others use the last two
                os.rmdir(path)
        for path in container.cgroups:
            with suppress(OSError):  # in most hierarchies it is not there
                os.rmdir(f"{path}/{_SUPERVISOR}")


def _other_end(stderr: int) -> int:
    """A pipe's end to read from, opened through the one to write to (pipe(7)); -1 where it is no pipe."""
    if not stat.S_ISFIFO(os.fstat(stderr).st_mode):
        return -1
    return os.open(f"/proc/self/fd/{stderr}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _last_words(stderr: int) -> str:
    """The last line that is in the pipe. What systemd-nspawn says it says there, and nobody else would read it."""
    said = b""
    with suppress(BlockingIOError):
        while stderr >= 0 and (chunk := os.read(stderr, 65536)):
            said += chunk
    return " ".join((said.decode("utf-8", "replace").splitlines() or [""])[-1].split())


def _machine(id: str) -> str:
    """A name as long as systemd-nspawn takes one, and a host name may be."""
    return f"cmanager-{id[:48]}"


def _command(path: str, directory: str, id: str) -> list[str]:
    """Without a service manager: it is neither told of the container nor asked for a scope."""
    return [path, "--quiet", "--register=no", "--keep-unit", f"--machine={_machine(id)}", f"--oci-bundle={directory}"]


def _environment(place: int, *, writable: bool) -> dict[str, str]:
    """systemd's docs/ENVIRONMENT.md; nothing of it reaches the program."""
    return {
        "PATH": programs.SYSTEM_PATH,
        "NOTIFY_SOCKET": f"/proc/self/fd/{place}/notify",
        "SYSTEMD_LOG_LEVEL": "err",
        "SYSTEMD_SECCOMP": "0",
        "SYSTEMD_NSPAWN_LOCK": "0",
        "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": str(int(writable)),
        # What it mounts at /sys/fs/cgroup; it would ask the image. With v1 it needs all that the kernel knows mounted.
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    }


def _own_cgroup(id: str) -> str:
    return f"/cmanager-nspawn-{id}"


def _join_or_make(cgroup: str, id: str) -> tuple[str, ...]:
    """Directories of the cgroup in every hierarchy that has it.

    systemd-nspawn makes cgroups of its own below the one that it is in, in the hierarchies of systemd and of v2:
    without one there for this container alone it gets one, that `_remove_cgroups` removes.
    """
    found = []
    for hierarchy in cgroups.hierarchies():
        if cgroup and os.path.isdir(hierarchy.path(cgroup)):
            found.append(hierarchy.path(cgroup))
        elif hierarchy.version == 2 or "name=systemd" in hierarchy.controllers:
            os.makedirs(hierarchy.path(_own_cgroup(id)), exist_ok=True)
            found.append(hierarchy.path(_own_cgroup(id)))
    return tuple(found)


def _remove_cgroups(joined: tuple[str, ...], id: str) -> None:
    """What was made for this container and what systemd-nspawn made, unless somebody is in it."""
    own = [hierarchy.path(_own_cgroup(id)) for hierarchy in cgroups.hierarchies()]
    deadline = time.monotonic() + _LEAVING
    for directory in (*joined, *own):
        _remove(f"{directory}/{_SUPERVISOR}", deadline)
        _remove(f"{directory}/{_PAYLOAD}", deadline)
    for directory in own:
        _remove(directory, deadline)


def _remove(directory: str, deadline: float) -> None:
    while True:
        try:
            os.rmdir(directory)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                return
            time.sleep(0.005)
