"""One more program in a running container: into its namespaces, its cgroup and its credentials (setns(2))."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NoReturn

from cmanager.errors import CmanagerError, CommandError, HostError, NotFoundError
from cmanager.linux import cgroups, inroot, mounts, programs, syscalls, terminals
from cmanager.linux.process import Process
from cmanager.linux.values import frozen
from cmanager.model import Stdio

from . import program, terminal
from .plan import Program
from .program import Doing


def start(given: Program, cgroup: str, init: Process, stdio: Stdio) -> int:
    """Run `given` where `init` lives; returns the pid of a child of the caller, in which the program runs.

    Raises CommandError, NotFoundError when the container is gone, HostError; then no process is left.
    """
    try:
        pidfd = os.pidfd_open(init.pid)
    except ProcessLookupError:
        raise NotFoundError(f"process {init.pid} of the container is gone") from None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    place = None
    try:
        flags = _differing(init.pid)
        place = _Place.of(cgroup, init)
        # Asked after the descriptor was opened: it belongs to the process that was meant.
        if not init.alive():
            raise NotFoundError(f"process {init.pid} of the container is gone")
        pid = _spawn(given, flags, pidfd, place, stdio, ours, theirs)
    except OSError as error:
        ours.close()
        raise HostError.of("enter the namespaces of process", str(init.pid), error) from None
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(pidfd)
        if place:
            place.close()
    with ours:
        try:
            try:
                # The channel closes when the program is executed.
                answer, died = ours.recv(4096), False
            except OSError:  # ECONNRESET: it was killed before it could read
                answer, died = b"", True
            if answer or died:
                raise failure(answer)
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    return pid


@frozen
class _Place:
    """Where the program is put: v2, cgroups in which it may be born there, the first that lets it, none without v2;
    doors: into those of v1 (`cgroups.doors`)."""

    v2: tuple[int, ...]
    doors: tuple[int, ...]

    @classmethod
    def of(cls, cgroup: str, init: Process) -> _Place:
        """That of a container's cgroup; `close` it. Raises HostError, OSError."""
        hierarchies = cgroups.hierarchies()
        doors = cgroups.doors(cgroup, hierarchies)
        # One that hands controllers on has no processes: then the container has moved its own below it.
        candidates = [cgroups.open_unified(path, hierarchies) for path in (cgroup, cgroups.unified(init.pid))]
        place = cls(tuple(fd for fd in candidates if fd >= 0), doors)
        if cgroup and hierarchies and not place.doors and not place.v2:
            raise HostError("join cgroup", cgroup, errno.ENOENT)
        return place

    def close(self) -> None:
        """The caller's descriptors of it."""
        for fd in (*self.v2, *self.doors):
            os.close(fd)

    def clone(self) -> int:
        """A child, born in the cgroup of v2; returns as `syscalls.clone` does."""
        for fd in self.v2:
            try:
                return syscalls.clone(0, cgroup=fd)
            except OSError as error:
                if error.errno != errno.EBUSY or fd == self.v2[-1]:
                    raise
        return syscalls.clone(0)


def failure(answer: bytes) -> CmanagerError:
    """The error behind a child's last word."""
    if not answer:
        return CmanagerError("the container's process died while it was set up, see the kernel log")
    code, _, text = answer[1:].decode("utf-8", "replace").partition(" ")
    if code in ("126", "127"):
        return CommandError(text, int(code))
    return CmanagerError(text)


def _differing(pid: int) -> int:
    """Clone flags of the namespaces of `pid` that are not the caller's."""
    flags = 0
    for flag, file in syscalls.NAMESPACES.values():
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/ns/{file}") != os.readlink(f"/proc/self/ns/{file}"):
                flags |= flag
    return flags


def _spawn(
    given: Program,
    flags: int,
    pidfd: int,
    place: _Place,
    stdio: Stdio,
    ours: socket.socket,
    theirs: socket.socket,
) -> int:
    """A child of this process, which becomes the program; flags: namespaces of `pidfd` that it joins."""
    # Who lives in a user namespace can look at nothing of a process from outside; into that the child goes itself,
    # and first, as there is no way back.
    before = flags & (syscalls.CLONE_NEWPID if flags & syscalls.CLONE_NEWUSER else ~syscalls.CLONE_NEWCGROUP)
    with _bearing_into(pidfd, before):
        pid = place.clone()
        if pid == 0:
            ours.close()
            _inside(given, flags & ~before, pidfd, place.doors, stdio, theirs)
    return pid


@contextmanager
def _bearing_into(pidfd: int, flags: int) -> Iterator[None]:
    """Be in these namespaces of `pidfd` while a child is made, which is born there: setns(2) moves no process into a
    pid namespace but those that it makes afterwards. So whoever lives there finds nothing of the host with the child,
    nor may he look at it (CVE-2016-9962, CVE-2019-5736). Single-threaded callers only.
    """
    dumpable = syscalls.prctl(syscalls.PR_GET_DUMPABLE)
    with ExitStack() as back:
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        if dumpable == 1:  # what it can be set to (prctl(2))
            back.callback(syscalls.prctl, syscalls.PR_SET_DUMPABLE, 1)
        for flag, file in syscalls.NAMESPACES.values():
            if flags & flag & ~syscalls.CLONE_NEWNS:
                here = os.open(f"/proc/self/ns/{file}", os.O_RDONLY | os.O_CLOEXEC)
                back.callback(os.close, here)
                back.callback(syscalls.setns, here, flag)
        if flags & syscalls.CLONE_NEWNS:
            back.callback(back.enter_context(mounts.namespace_of("self")))
        if flags:
            syscalls.setns(pidfd, flags)
        yield


def _inside(
    given: Program, flags: int, pidfd: int, doors: tuple[int, ...], stdio: Stdio, parent: socket.socket
) -> NoReturn:
    doing = Doing()
    try:
        programs.reset_signals()
        doing("join the namespaces of the container")
        if others := flags & ~syscalls.CLONE_NEWCGROUP:
            syscalls.setns(pidfd, others)
        doing("join the cgroup of the container")
        cgroups.go_through(doors)
        if flags & syscalls.CLONE_NEWCGROUP:
            syscalls.setns(pidfd, syscalls.CLONE_NEWCGROUP)
        if flags & syscalls.CLONE_NEWUSER:
            doing("become root of the user namespace")
            os.setgroups([])
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        doing("leave the session keyring")
        with suppress(OSError):  # full or not built: the container's first process has said so
            syscalls.new_session_keyring()
        doing("set up standard input and output")
        os.setsid()
        fds = (stdio.stdin, stdio.stdout, stdio.stderr)
        if given.terminal:
            root = inroot.open_root("/")
            master, peer = terminal.open_pair(root)
            os.close(root)
            terminals.send(stdio.console, master)
            os.fchown(peer, given.credentials.uid, -1)
            terminal.control(peer)
            fds = (peer, peer, peer)
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        program.become(given.credentials, doing)
        doing("close descriptors")
        parent = program.keep_only(parent)
        program.change_directory(given.cwd, doing)
        program.load_filter(given.credentials, doing)
        program.execute(given, parent)
    except OSError as error:
        program.fail(parent, 125, str(doing), error)
    except BaseException as error:
        program.tell(parent, 125, f"{doing}: {type(error).__name__}: {error}")
    os._exit(125)
