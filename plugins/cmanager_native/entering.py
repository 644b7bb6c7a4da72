"""One more program in a running container: into its namespaces, its cgroup and its credentials (setns(2))."""

from __future__ import annotations

import errno
import os
import signal
import socket
from contextlib import suppress
from typing import NoReturn

from cmanager.errors import CmanagerError, CommandError, HostError, NotFoundError
from cmanager.linux import cgroups, inroot, programs, syscalls, terminals
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
        """A sibling, born in the cgroup of v2; returns as `syscalls.clone` does."""
        for fd in self.v2:
            try:
                return syscalls.clone(syscalls.CLONE_PARENT, cgroup=fd)
            except OSError as error:
                if error.errno != errno.EBUSY or fd == self.v2[-1]:
                    raise
        return syscalls.clone(syscalls.CLONE_PARENT)


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
    # setns(2) moves only children into a pid namespace: a process in between joins, and makes the one that counts as
    # its own sibling (CLONE_PARENT).
    read, write = os.pipe()
    middle = os.fork()
    if middle == 0:
        ours.close()
        os.close(read)
        _between(given, flags, pidfd, place, stdio, theirs, write)
    os.close(write)
    answer = os.read(read, 64)
    os.close(read)
    os.waitpid(middle, 0)
    pid, _, number = answer.partition(b" ")
    if not answer or int(number):
        raise OSError(int(number or 3), os.strerror(int(number or 3)))
    return int(pid)


def _between(
    given: Program, flags: int, pidfd: int, place: _Place, stdio: Stdio, parent: socket.socket, write: int
) -> NoReturn:
    try:
        # From here on a process of the container could look: at nothing (CVE-2016-9962, CVE-2019-5736).
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        # Where nsdelegate holds, nobody makes a process across the border of the cgroup namespace he joined.
        now = flags & ~syscalls.CLONE_NEWCGROUP
        if now:
            syscalls.setns(pidfd, now)
        pid = place.clone()
        if pid == 0:
            os.close(write)
            _inside(given, flags, pidfd, place.doors, stdio, parent)
        os.write(write, b"%d 0" % pid)
    except OSError as error:
        os.write(write, b"0 %d" % (error.errno or 0))
    finally:
        os._exit(0)


def _inside(
    given: Program, flags: int, pidfd: int, doors: tuple[int, ...], stdio: Stdio, parent: socket.socket
) -> NoReturn:
    doing = Doing()
    try:
        programs.reset_signals()
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
