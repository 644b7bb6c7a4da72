"""The heir of a supervisor: a process that has hardly touched its memory, for as long as a container only runs.

Processes that were forked from one interpreter share its pages until they write to them, which an interpreter does to
all that it looks at (reference counts). What a start looks at is ten megabytes. So a supervisor is two processes: one
that starts the container, and its parent, the heir, which waits. Once the container has run for a moment and nobody is
attached to it, the first leaves it to the heir and ends; what it has started becomes the child of the heir, a subreaper
(prctl(2)). When there is more to do than to move the streams, the heir makes a supervisor of itself.

The heir is the supervisor that is recorded: SIGUSR1 is passed on by it until then, and both end when one is killed.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

from ..errors import CmanagerError
from ..linux import mounts, syscalls
from ..linux.process import reap_others
from ..linux.values import frozen
from ..plugins.config import Config
from . import passing
from .background import drain, keep_fault, wakeable
from .launch import Launch
from .log import Log
from .output import Output
from .stdio import Streams

_MOST = 32  # descriptors of a will
#: Words of the child, and answers of the heir.
_ENTER, _WILL = b"e", b"w"
_TAKEN, _DECLINED = b"t", b"d"


@frozen
class Estate:
    """What the heir looks at when there is more to do.

    launch: as the life began; config: of the plugins; pid: the container's first process; began: when its program did
    (`time.monotonic()`); pause: seconds before that; told: which limits it has hit, as often as was announced;
    environment: of the process that leaves it.
    """

    launch: Launch
    config: Config
    pid: int
    began: float
    pause: float
    told: dict[str, int]
    environment: dict[str, str]


@frozen
class Deceased:
    """The process that leaves a container, before it ends. groups: numbers; words: the heir's command line to be."""

    pid: int
    groups: str
    words: Sequence[str]


#: Called in the heir: be what a child of that process would have been. Raises OSError or CmanagerError where not.
Succeed = Callable[[Deceased], None]
Resume = Callable[[Estate, Streams, Output], NoReturn]


class Heir:
    """The heir, for the process that starts the container. pid: its number; words: a command line, to be its one."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid, self._end = pid, end
        self.words: tuple[str, ...] = ()
        self._entered = self._declined = False

    def enter(self) -> None:
        """Go into its mount namespace, which is private (`mounts.make_private_namespace`). Raises OSError."""
        if self._entered:
            return
        self._end.send(_ENTER)
        if number := int(self._end.recv(16) or errno.ESRCH):
            raise OSError(number, os.strerror(number))
        mounts.enter_namespace(self.pid)
        self._entered = True

    def leave(self, estate: Estate, log: Log | None, streams: Mapping[str, int], alarm: Sequence[int]) -> None:
        """Leave the container to it, and end; returns where it declines, for good.

        log: where output is kept; streams: as of `Streams.roles`; alarm: descriptors, the first of which is readable
        when there is more to do, and the others of which have to stay open for that.
        """
        if self._declined:
            return
        self._declined = True
        groups = " ".join(map(str, os.getgroups()))
        will = {
            "pid": estate.pid,
            "fault": estate.launch.paths.fault(estate.launch.container.id),
            "log": log and log.place,
            "streams": [*streams],
            "as": [groups, self.words],
        }
        opened: list[int] = []
        # What does not fit into JSON or a descriptor stays here.
        with suppress(OSError, TypeError, ValueError, CmanagerError):
            for value in (will, estate):
                opened.append(passing.memory(value))
            passing.value(Estate, os.dup(opened[1]))  # it can be read
            socket.send_fds(self._end, [_WILL], [*opened, *streams.values(), *alarm])
            if self._end.recv(1) == _TAKEN:
                os._exit(0)
        for fd in opened:
            os.close(fd)


def divide(succeed: Succeed, resume: Resume) -> Heir:
    """Fork, in a process that is detached already: the child goes on, the parent is its heir and never returns.

    resume: makes a supervisor of the heir.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heir = os.getpid()
    if child := os.fork():
        try:
            syscalls.close_all_but(ours.fileno(), first=3)
            _inherit(ours, child, succeed, resume)
        finally:
            os._exit(0)
    ours.close()
    # What it starts is left to the heir when it ends, which is one, too (prctl(2)).
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != heir:
        os._exit(0)
    return Heir(heir, theirs)


def _inherit(end: socket.socket, child: int, succeed: Succeed, resume: Resume) -> None:
    """Wait until the child leaves its container, and look after that; returns when the child has ended without."""
    wake = wakeable()
    signal.signal(signal.SIGUSR1, lambda number, frame: os.kill(child, number))
    while True:
        word, fds, flags, _ = socket.recv_fds(end, 1, _MOST, socket.MSG_CMSG_CLOEXEC)
        if word == _ENTER:
            _make_private(end)
        elif word != _WILL:
            return
        elif found := _taken_over(child, fds, flags, succeed):
            break
        else:
            for fd in fds:
                os.close(fd)
            end.send(_DECLINED)
    # It tells who waits for another life that he need not; this one is not over.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    end.send(_TAKEN)
    end.close()
    os.waitpid(child, 0)
    os.close(fds[0])
    try:
        _look_after(found, wake)
        for fd in (*found.alarm, wake, signal.set_wakeup_fd(-1)):
            os.close(fd)
        estate = passing.value(Estate, fds[1])
    except BaseException as error:
        keep_fault(found.fault, error)
        raise
    resume(estate, found.streams, found.output)


def _look_after(taken: _Taken, wake: int) -> None:
    """Move the streams until the program has ended, or a limit was reached."""
    while not taken.streams.until_end(taken.pid, (wake, *taken.alarm[:1])):
        drain(wake)
        reap_others({taken.pid})
        if taken.alarm and select.select(taken.alarm[:1], (), (), 0)[0]:
            return


def _make_private(end: socket.socket) -> None:
    try:
        mounts.make_private_namespace()
        end.send(b"0")
    except OSError as error:
        end.send(b"%d" % (error.errno or 0))


@frozen
class _Taken:
    """What the heir needs while the container only runs. fault: path of the file that says what it died of."""

    pid: int
    fault: str
    streams: Streams
    output: Output
    alarm: Sequence[int]


def _taken_over(child: int, fds: Sequence[int], flags: int, succeed: Succeed) -> _Taken | None:
    """That, with all that the child had besides; None where it cannot be had. The first two descriptors are the will,
    and an estate, which is left alone."""
    try:
        if flags & socket.MSG_CTRUNC:
            return None
        will = json.loads(os.pread(fds[0], os.fstat(fds[0]).st_size, 0))
        ends, alarm = fds[2:][: len(will["streams"])], fds[2:][len(will["streams"]) :]
        roles = dict(zip(will["streams"], ends, strict=True))
        succeed(Deceased(child, *will["as"]))
        output = Output(Log(*will["log"]) if will["log"] else None)
        return _Taken(will["pid"], will["fault"], Streams.taken(output, roles), output, alarm)
    except (OSError, ValueError, CmanagerError):
        return None
