"""Other programs, started as from a shell of their own: nothing of the caller's is left in them but what is given."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from ..errors import CmanagerError
from . import cgroups, files, syscalls
from .process import reap
from .values import frozen

#: Where tools of the system are, whatever the caller's PATH says.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GO, _READY = b"G", b"R"


@frozen
class Finished:
    """How a program ended: its exit code, 128 + n for signal n, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str


def reset_signals() -> None:
    """Default actions and nothing blocked: what is ignored and the mask would survive exec (execve(2))."""
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def find(name: str) -> str:
    """The path of a program of the system; a name with a slash is one already. FileNotFoundError."""
    for path in [name] if "/" in name else [f"{directory}/{name}" for directory in SYSTEM_PATH.split(":")]:
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise FileNotFoundError(2, "no such program", name)


def remembered(path: str, programs: Sequence[str], also: Sequence[Any], ask: Callable[[], Any]) -> Any:
    """What `ask` answers, JSON data, kept in the file `path` for as long as the same programs are installed.

    programs: paths; also: what else the answer depends on, JSON data. Where it cannot be kept, it is asked each time.
    Raises OSError for a program that is not there, and what `ask` raises.
    """
    found = [(program, os.stat(program)) for program in programs]
    key = [*also, *([program, at.st_ino, at.st_size, at.st_mtime_ns] for program, at in found)]
    with suppress(OSError, ValueError, KeyError, TypeError):
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
        if kept["key"] == key:
            return kept["answer"]
    answer = ask()
    with suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        files.write_atomic(path, json.dumps({"key": key, "answer": answer}).encode())
    return answer


def spawn(
    argv: Sequence[str],
    stdio: tuple[int, int, int],
    *,
    env: Mapping[str, str] | None = None,
    directories: Sequence[str] = (),
    keep: Sequence[int] = (),
) -> int:
    """Start `argv[0]`, a path, as a child in a session of its own; returns its pid.

    stdio: its descriptors 0, 1 and 2; env: all of its environment, a plain PATH when None; directories: of cgroups to
    be in before it begins; keep: descriptors that stay open under their numbers. For a single-threaded caller, who
    reaps the child. Raises OSError when it cannot be executed; then there is no child.
    """
    held = Held(argv, stdio, env=env, directories=directories, keep=keep)
    held.release()
    return held.pid


class Held:
    """A program whose process is there, and which begins when it is released; parameters as those of `spawn`.

    prepare: called in the child before it waits, in its own session, with its three descriptors in place. What it
    raises is raised here, as a CmanagerError of the same text, and there is no child. flags: of clone(2), for new
    namespaces.

    pid: of the child, which the owner reaps. It ends by itself when its maker ends before `release`, or after `drop`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        stdio: tuple[int, int, int],
        *,
        env: Mapping[str, str] | None = None,
        directories: Sequence[str] = (),
        keep: Sequence[int] = (),
        prepare: Callable[[], None] | None = None,
        flags: int = 0,
    ) -> None:
        self._program = argv[0]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._gate: socket.socket | None = ours
        self.pid = syscalls.clone(flags) if flags else os.fork()
        if self.pid == 0:
            ours.close()
            _become(argv, stdio, env, directories, keep, theirs, prepare)
        theirs.close()
        if prepare:
            self._wait_until_prepared(ours)

    def _wait_until_prepared(self, gate: socket.socket) -> None:
        try:
            said = gate.recv(4096)
        except OSError:  # ECONNRESET: it was killed
            said = b""
        if said != _READY:
            self.drop()
            os.waitpid(self.pid, 0)
            raise CmanagerError(said.decode("utf-8", "replace") or "the process was killed while it was prepared")

    def release(self) -> None:
        """Let it begin; returns when it has. OSError when it cannot be executed, or was killed: then it is reaped."""
        gate, self._gate = self._gate, None
        assert gate, "released or dropped already"
        with gate:
            try:
                gate.send(_GO)
                said = gate.recv(16)
            except OSError:  # EPIPE, ECONNRESET: it was killed before it could read
                said = b"3"
        if said:
            os.waitpid(self.pid, 0)
            raise OSError(int(said), os.strerror(int(said)), self._program)

    def drop(self) -> None:
        """Let it end without having begun. Idempotent; the owner reaps it."""
        if self._gate:
            self._gate.close()
            self._gate = None


def run(
    argv: Sequence[str],
    *,
    stdio: tuple[int, int, int] = (-1, -1, -1),
    env: Mapping[str, str] | None = None,
    directories: Sequence[str] = (),
    keep: Sequence[int] = (),
) -> Finished:
    """Run a program to its end, as `spawn` starts it; what its own children do afterwards is not waited for.

    Where a descriptor of `stdio` is -1, stdin is empty, stdout and stderr are returned.
    """
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
    try:
        given = [fd if fd >= 0 else other for fd, other in zip(stdio, (null, out, err), strict=True)]
        pid = spawn(argv, (given[0], given[1], given[2]), env=env, directories=directories, keep=keep)
        return Finished(reap(pid), _text(out), _text(err))
    finally:
        for fd in (null, out, err):
            os.close(fd)


def _text(fd: int) -> str:
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0).decode("utf-8", "replace")


def _become(
    argv: Sequence[str],
    stdio: tuple[int, int, int],
    env: Mapping[str, str] | None,
    directories: Sequence[str],
    keep: Sequence[int],
    gate: socket.socket,
    prepare: Callable[[], None] | None = None,
) -> NoReturn:
    try:
        reset_signals()
        os.setsid()
        # Out of the way first, so that none of the three is overwritten before it is taken.
        taken = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in stdio]
        for number, fd in enumerate(taken):
            os.dup2(fd, number)
        if prepare:
            _prepare(prepare, gate)
        if gate.recv(1) != _GO:
            os._exit(0)
        for directory in directories:
            cgroups.join(directory)
        syscalls.close_range(3, cloexec=True)
        for fd in keep:
            os.set_inheritable(fd, True)
        os.execve(argv[0], list(argv), {"PATH": SYSTEM_PATH} if env is None else dict(env))
    except OSError as error:
        gate.send(b"%d" % (error.errno or errno.EIO))
    except BaseException:
        gate.send(b"%d" % errno.EIO)
    finally:
        os._exit(127)


def _prepare(prepare: Callable[[], None], gate: socket.socket) -> None:
    try:
        prepare()
    except BaseException as error:
        text = str(error) if isinstance(error, CmanagerError) else f"{type(error).__name__}: {error}"
        gate.send(text.encode("utf-8", "replace")[:4000])
        os._exit(127)
    gate.send(_READY)
