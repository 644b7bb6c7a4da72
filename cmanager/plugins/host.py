"""A plugin's own process: it makes one plugin and carries out calls until nobody is there who could make them.

What the plugin does to this process, it does to nobody else. It is a child of whoever asks: for a runtime that is the
container's supervisor, in whose mount namespace it is, and for which it adopts what the runtime starts.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from ..errors import CmanagerError, PluginError, told
from ..linux import syscalls
from ..linux.values import frozen
from ..model.codec import from_data, to_data
from .calls import methods
from .config import Config
from .finder import Finder, why
from .loader import Loader, describe
from .wire import Channel, unpacked

#: Where its end of the channel is.
CHANNEL = 3


@frozen
class Job:
    """What a plugin's process needs to know. config, root, run_root: as in `Plugins`; seam, name: of the plugin."""

    config: Config
    root: str
    run_root: str
    seam: str
    name: str


def become(job: Job, channel: int, output: int, maker: int) -> NoReturn:
    """Be the plugin's process from now on. For a forked child of process `maker`; output: what it prints goes there."""
    try:
        _settle(channel, output)
        if os.getppid() == maker:
            _serve(job, Channel(socket.socket(fileno=CHANNEL)))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def executed() -> None:
    """The same in an interpreter of its own, for a caller that must not be forked: it has threads."""
    data, channel, output, maker = map(int, sys.argv[1:])
    with os.fdopen(data) as file:
        job = from_data(Job, json.load(file))
    become(job, channel, output, maker)


def _settle(channel: int, output: int) -> None:
    """Nothing of the maker's is left: its session, terminal, descriptors, directory, signal handlers."""
    os.setsid()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    os.chdir("/")
    os.umask(0o022)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGPIPE, signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) is not None:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for place, fd in enumerate(_out_of_the_way(os.open("/dev/null", os.O_RDONLY), output, output, channel)):
        os.dup2(fd, place, inheritable=place != CHANNEL)
    syscalls.close_range(CHANNEL + 1)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False, errors="backslashreplace")
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    gc.freeze()


def _out_of_the_way(*fds: int) -> list[int]:
    """The same descriptors above those that they are to become."""
    import fcntl

    return [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, CHANNEL + 1) for fd in fds]


def _serve(job: Job, channel: Channel) -> NoReturn:
    plugin: _Plugin | None = None
    while True:
        while (message := channel.next()) is None:
            if not channel.feed():
                sys.stdout.flush()
                os._exit(0)
        try:
            if plugin is None:
                plugin = _Plugin(job)
            answer = plugin.carry_out(message, channel)
        except CmanagerError as error:
            answer = {"error": told(error)}
        except BaseException as error:
            # The last words are for the plugin's log, the answer for whoever asked.
            traceback.print_exc()
            answer = {"fault": why(error)}
        channel.close_fds()
        channel.send(answer)


class _Plugin:
    """The plugin, once it is imported; its provider is made when it is asked for more."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._finder = Finder(job.config)
        self._loader = Loader(self._finder, job.root, job.run_root)
        self._methods = methods(job.seam)
        self._made: Any = None
        self._loader.check(job.seam, job.name)

    def carry_out(self, message: dict[str, Any], channel: Channel) -> dict[str, Any]:
        if message["call"] == "load":
            return {}
        if self._made is None:
            self._made = self._loader.make(self._job.seam, self._job.name)
        if message["call"] == "describe":
            return describe(self._job.seam, self._made)
        method = self._methods[message["call"]]

        def progress(event: Any) -> None:
            channel.send({"progress": to_data(event)})

        arguments, named = unpacked(method, message, channel.fds, progress)
        try:
            result = getattr(self._made, method.name)(*arguments, **named)
        except OSError as error:
            if method.writes:
                return {"os": [error.errno or 0, error.strerror or str(error)]}
            raise
        try:
            answer = {"result": to_data(result)}
            json.dumps(answer)
        except (TypeError, ValueError) as error:
            raise PluginError(f"{self._finder.called(self._job.seam, self._job.name)} returned {error}") from None
        return answer
