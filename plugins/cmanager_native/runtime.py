"""The runtime's verbs, as the supervisor calls them."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from attrs import define

from cmanager.errors import CmanagerError, ConflictError, HostError, InvalidError, NotFoundError
from cmanager.linux import cgroups, pins, syscalls
from cmanager.linux.process import Process, reap
from cmanager.model import Bundle, Features, Stdio

from . import child, entering, hooks, plan, program
from .entering import failure
from .seccomp import compile_filter

_OPTIONS = (
    *("init", "seccomp", "capabilities", "no_new_privileges", "rlimits", "sysctl", "masked_paths"),
    *("userns", "devices", "hooks", "poststart", "user", "network", "terminal", "cgroup_mount", "exact_environment"),
    "umask",
)


@define
class _Created:
    """A container of this process: its first process, the socket to it until the program runs, and its plan."""

    pid: int
    channel: socket.socket | None
    plan: plan.Plan
    bundle: Bundle
    code: int | None = None


class Native:
    """Runs bundles with clone3, mount descriptors and execve (clone(2), pivot_root(2), runtime-spec runtime.md).

    filter_cache: directory for compiled seccomp filters. State of containers is in this process only: what other
    processes need (kill, delete) follows from the first process, whose end ends everything in its pid namespace.
    """

    def __init__(self, filter_cache: str) -> None:
        self._filter_cache = filter_cache
        self._created: dict[str, _Created] = {}

    def features(self) -> Features:
        """Namespaces as the kernel offers them under /proc/self/ns."""
        kinds = tuple(
            kind for kind, (_, file) in syscalls.NAMESPACES.items() if os.path.exists(f"/proc/self/ns/{file}")
        )
        return Features(kinds, _OPTIONS, version=f"kernel {os.uname().release}", moves=False)

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        """See `cmanager.seams.Runtime.create`."""
        if bundle.id in self._created:
            raise ConflictError(f"container {bundle.id[:12]} was created already")
        planned = plan.read(bundle.path, self.features(), self._compile)
        hierarchies = cgroups.hierarchies()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        state = _state(bundle, planned, "creating", 0)
        doors: tuple[int, ...] = ()
        cgroup = -1
        try:
            doors = cgroups.doors(planned.cgroup, hierarchies)
            cgroup = cgroups.open_unified(planned.cgroup, hierarchies)
            if planned.cgroup and hierarchies and not doors and cgroup < 0:
                raise HostError("join cgroup", planned.cgroup, errno.ENOENT)
            born = cgroup if _may_be_born_there(planned) else -1
            place = child.Place(hierarchies, doors)
            pid = _spawn(planned, born, lambda: _become_child(ours, planned, stdio, theirs, place, state))
        except OSError as error:
            ours.close()
            raise HostError.of("make namespaces for", bundle.id[:12], error) from None
        except CmanagerError:
            ours.close()
            raise
        finally:
            theirs.close()
            for fd in (*doors, cgroup):
                if fd >= 0:
                    os.close(fd)
        created = _Created(pid, ours, planned, bundle)
        self._created[bundle.id] = created
        try:
            self._settle(created, _moved(planned, hierarchies, elsewhere=born < 0 <= cgroup, doors=bool(doors)))
        except BaseException:
            self.delete(bundle.id)
            raise
        return pid

    def start(self, id: str) -> int:
        """See `cmanager.seams.Runtime.start`."""
        created = self._known(id)
        channel = created.channel
        if channel is None:
            raise ConflictError(f"container {id[:12]} was started already")
        died = False
        try:
            channel.send(program.START)
            answer = channel.recv(4096)
        except OSError:  # EPIPE or ECONNRESET: it was killed before it could read
            answer, died = b"", True
        channel.close()
        created.channel = None
        if answer or died:
            self.delete(id)
            raise failure(answer)
        hooks.run(created.plan.hooks.get("poststart", ()), _state(created.bundle, created.plan, "running", created.pid))
        return created.pid

    def wait(self, id: str) -> int:
        """See `cmanager.seams.Runtime.wait`."""
        created = self._known(id)
        if created.code is None:
            created.code = reap(created.pid)
        return created.code

    def kill(self, id: str, init: Process, number: int) -> None:
        """See `cmanager.seams.Runtime.kill`."""
        init.signal(number, id)

    def exec(self, bundle: Bundle, init: Process, process: dict[str, Any], stdio: Stdio) -> int:
        """See `cmanager.seams.Exec.exec`."""
        given, cgroup = plan.read_exec(bundle.path, process, self._compile)
        return entering.start(given, cgroup, init, stdio)

    def adopt(self, bundle: Bundle, pid: int) -> None:
        """See `cmanager.seams.Adopt.adopt`."""
        self._created[bundle.id] = _Created(pid, None, plan.read(bundle.path, self.features(), self._compile), bundle)

    def delete(self, id: str) -> None:
        """See `cmanager.seams.Runtime.delete`; in another process there is nothing to remove."""
        created = self._created.pop(id, None)
        if created is None:
            return
        if created.channel is not None:
            created.channel.close()
        if created.code is None:
            try:
                os.kill(created.pid, signal.SIGKILL)
                os.waitpid(created.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                created.code = 0
        hooks.run(created.plan.hooks.get("poststop", ()), _state(created.bundle, created.plan, "stopped", 0))

    def _known(self, id: str) -> _Created:
        try:
            return self._created[id]
        except KeyError:
            raise NotFoundError(f"container {id[:12]} was not created by this process, or is deleted") from None

    def _compile(self, policy: dict[str, Any]) -> bytes:
        return compile_filter(policy, self._filter_cache)

    def _settle(self, created: _Created, moved: tuple[cgroups.Hierarchy, ...]) -> None:
        """Do for the child what only the parent can, while it mounts; return when it is ready to start.

        moved: the hierarchies in which it is not left to be born in its cgroup, or to go there itself.
        """
        planned, channel = created.plan, created.channel
        assert channel is not None, "just made"
        if planned.id_maps:
            _write_maps(created.pid, planned.id_maps)
        if moved:
            cgroups.join_all(planned.cgroup, created.pid, moved)
        state = _state(created.bundle, planned, "creating", created.pid)
        hooks.run(planned.hooks.get("prestart", ()) + planned.hooks.get("createRuntime", ()), state)
        answer = b""
        with suppress(OSError):  # EPIPE: it failed already and says why; ECONNRESET: it cannot any more
            with suppress(BrokenPipeError):
                channel.send(program.GO)
            answer = channel.recv(4096)
        if answer != program.CREATED:
            raise failure(answer)


#: Joining a pid namespace moves only children, and a user namespace must be joined before the others are made: then a
#: process in between joins and makes the first process as its own sibling (CLONE_PARENT).
_EARLY = {syscalls.CLONE_NEWUSER, syscalls.CLONE_NEWPID, syscalls.CLONE_NEWTIME}


def _moved(
    planned: plan.Plan, hierarchies: tuple[cgroups.Hierarchy, ...], *, elsewhere: bool, doors: bool
) -> tuple[cgroups.Hierarchy, ...]:
    """Those in which the first process is moved by us. elsewhere: it was not born in its cgroup of v2."""
    # A hook may look where the process is, or change the cgroup it finds it in.
    looked_at = doors and bool({"prestart", "createRuntime"} & {kind for kind, found in planned.hooks.items() if found})
    return tuple(h for h in hierarchies if (elsewhere if h.version == 2 else looked_at))


def _may_be_born_there(planned: plan.Plan) -> bool:
    """Where nsdelegate holds, nobody makes a process across the border of the cgroup namespace he joined."""
    joined = {flag for flag, _ in planned.joins}
    return not (joined & _EARLY and syscalls.CLONE_NEWCGROUP in joined)


def _spawn(planned: plan.Plan, cgroup: int, run: Callable[[], NoReturn]) -> int:
    """The container's first process as a child of this one, in that cgroup unless it is -1."""
    flags = planned.flags & ~syscalls.CLONE_NEWCGROUP
    opened: list[tuple[int, int]] = []
    try:
        for flag, path in planned.joins:
            opened.append((flag, os.open(path, os.O_RDONLY | os.O_CLOEXEC)))
            if not pins.is_kind(opened[-1][1], flag):
                kind = next(name for name, (known, _) in syscalls.NAMESPACES.items() if known == flag)
                raise InvalidError(f"{path} is not a {kind} namespace")
        if not any(flag in _EARLY for flag, _ in opened):
            return syscalls.clone(flags, cgroup=cgroup) or _enter(opened, run)
        read, write = os.pipe()
        middle = os.fork()
        if middle == 0:
            _between(opened, flags, cgroup, write, run)
        os.close(write)
        answer = os.read(read, 64)
        os.close(read)
        os.waitpid(middle, 0)
        pid, _, number = answer.partition(b" ")
        if not answer or int(number):
            raise OSError(int(number or errno.ESRCH), os.strerror(int(number or errno.ESRCH)))
        return int(pid)
    finally:
        for _, fd in opened:
            os.close(fd)


def _become_child(
    ours: socket.socket,
    planned: plan.Plan,
    stdio: Stdio,
    theirs: socket.socket,
    place: child.Place,
    state: bytes,
) -> NoReturn:
    # Held here, our end would hide the supervisor's death from the child.
    ours.close()
    child.run(planned, stdio, theirs, place, state)


def _enter(opened: list[tuple[int, int]], run: Callable[[], NoReturn]) -> NoReturn:
    try:
        for flag, fd in opened:
            syscalls.setns(fd, flag)
    except OSError:
        os._exit(125)
    run()


def _between(
    opened: list[tuple[int, int]], flags: int, cgroup: int, write: int, run: Callable[[], NoReturn]
) -> NoReturn:
    try:
        for flag, fd in opened:
            syscalls.setns(fd, flag)
        pid = syscalls.clone(flags | syscalls.CLONE_PARENT, cgroup=cgroup)
        if pid == 0:
            run()
        os.write(write, b"%d 0" % pid)
    except OSError as error:
        os.write(write, b"0 %d" % (error.errno or 0))
    finally:
        os._exit(0)


def _write_maps(pid: int, maps: tuple[str, str]) -> None:
    for name, content in (("setgroups", "allow"), ("uid_map", maps[0]), ("gid_map", maps[1])):
        path = f"/proc/{pid}/{name}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, content.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise HostError.of("write", path, error) from None


def _state(bundle: Bundle, planned: plan.Plan, status: str, pid: int) -> bytes:
    """The state of runtime.md, which hooks receive."""
    state: dict[str, Any] = {"ociVersion": "1.0.2", "id": bundle.id, "status": status, "pid": pid}
    state["bundle"] = bundle.path
    if planned.annotations:
        state["annotations"] = planned.annotations
    return json.dumps(state).encode()
