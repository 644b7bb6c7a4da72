"""A plugin in a process of its own, seen from the process that needs it.

Every call has a deadline, and a limit of memory. A process that misses one, dies or answers rubbish is killed; the next
call gets a new one. A thread could not be ended, and a process that forks must not have any.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import time
import typing
from contextlib import suppress
from typing import Any

from ..errors import CorruptError, HostError, PluginError, retold
from ..linux import seal
from ..linux.process import single_threaded
from ..model.codec import from_data, to_data
from . import host
from .calls import Method, methods
from .log import Log
from .policy import LOAD, Policy
from .wire import Channel, is_callback, packed

#: Calls that get a process of their own: with its end, what it started is adopted by the caller, who reaps it.
_ADOPTED = frozenset({"exec"})
_LOOK = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Isolated:
    """One plugin. what: how messages call it; log: path of the file that gets what it prints.

    Its process is made when it is first needed, by the process that needs it: after a fork, a new one. The owner calls
    `end` when that shall happen before its own end.
    """

    def __init__(self, job: host.Job, what: str, policy: Policy, log: str) -> None:
        self._job, self._what, self._policy = job, what, policy
        self._log = Log(log)
        self._methods = methods(job.seam)
        self._process: _Process | None = None
        self._turn, self._maker = threading.RLock(), os.getpid()

    def begin(self) -> None:
        """Start importing it, and do not wait."""
        with self._own_turn():
            self._begin()

    def _begin(self) -> None:
        process = self._live()
        if process.loaded is None:
            process.loaded = False
            process.began = time.monotonic()
            self._send(process, LOAD, {"call": "load"}, [])

    def load(self) -> None:
        """Import it. Raises PluginError for one that does not load, InvalidError for its options, what it raised."""
        with self._own_turn():
            self._begin()
            process = self._live()
            if not process.loaded:
                process.loaded = None
                self._answer(process, LOAD, None, since=process.began)
                process.loaded = True

    def describe(self) -> dict[str, Any]:
        """Make the provider; see `host.describe`. Raises what `load` raises, and what the factory raised."""
        with self._own_turn():
            self.load()
            process = self._live()
            self._send(process, LOAD, {"call": "describe"}, [])
            return self._answer(process, LOAD, None)

    def call(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Carry out a method. Raises what it raised, PluginError for every fault of the plugin."""
        if name not in _ADOPTED:
            with self._own_turn():
                return self._call(name, arguments, named)
        other = Isolated(self._job, self._what, self._policy, self._log.path)
        try:
            return other._call(name, arguments, named)
        finally:
            other.end()

    def _call(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        method = self._methods[name]
        self.load()
        process = self._live()
        message, fds = packed(method, arguments, named)
        values = [*arguments, *named.values()]
        progress = next((value for value in values if callable(value)), None)
        self._send(process, name, message, fds)
        answer = self._answer(process, name, progress, method)
        if "os" in answer:
            raise OSError(*answer["os"])
        try:
            return from_data(method.returns, answer.get("result"), name)
        except CorruptError as error:
            raise PluginError(f"{self._what} returned what {name} may not return: {error}") from None

    def end(self) -> None:
        """End its process; the next call makes another."""
        with self._own_turn():
            process, self._process = self._process, None
            if process and process.maker == os.getpid():
                process.end(self._log)
            elif process:
                process.forget()

    def __del__(self) -> None:
        with suppress(Exception):  # modules may be gone at the interpreter's end
            self.end()

    def _own_turn(self) -> threading.RLock:
        """Threads take turns. In a fork nobody has it: a thread of the maker's would have it for ever."""
        if self._maker != os.getpid():
            self._turn, self._maker = threading.RLock(), os.getpid()
        return self._turn

    def _live(self) -> _Process:
        if self._process and self._process.maker != os.getpid():
            self.end()
        if self._process is None:
            try:
                self._process = _Process(self._job)
            except OSError as error:
                raise HostError.of(f"start a process for {self._what}", "", error) from None
        return self._process

    def _send(self, process: _Process, name: str, message: dict[str, Any], fds: list[int]) -> None:
        process.channel.patience(self._deadline(name))
        try:
            process.channel.send(message, fds)
        except TimeoutError:
            raise self._fault(f"took no call of {name} within {self._deadline(name):g} s and was ended") from None
        except OSError:
            raise self._fault(f"{process.death()} before {name}") from None

    def _answer(
        self, process: _Process, name: str, progress: Any, method: Method | None = None, since: float = 0.0
    ) -> dict[str, Any]:
        doing = "while it was loaded" if name == LOAD else f"in {name}"
        try:
            answer = self._wait(process, name, doing, progress, method, since)
        except (ValueError, RecursionError, CorruptError) as error:
            raise self._fault(f"answered rubbish {doing} ({error}) and was ended") from None
        except BaseException:
            self._kill()  # what it answers now would be taken for the answer to the next call
            raise
        process.drain(self._log)
        if "error" in answer:
            raise retold(answer["error"])
        if "fault" in answer:
            raise PluginError(f"{self._what} failed {doing}: {answer['fault']}{self._log.where(quoted=False)}")
        return answer

    def _wait(
        self, process: _Process, name: str, doing: str, progress: Any, method: Method | None, since: float
    ) -> dict[str, Any]:
        deadline = self._deadline(name)
        until = (since or time.monotonic()) + deadline
        while True:
            while (message := process.channel.next()) is not None:
                if "progress" not in message:
                    return message
                progress(from_data(_event(method), message["progress"]))
                until = time.monotonic() + deadline
            left = until - time.monotonic()
            if left <= 0:
                raise self._fault(f"gave no answer {doing} within {deadline:g} s and was ended")
            if not process.look(min(left, _LOOK), self._log):
                raise self._fault(f"{process.death()} {doing}")
            if process.memory() > self._policy.memory:
                raise self._fault(f"used more than {self._policy.memory >> 20} MiB {doing} and was ended")

    def _deadline(self, name: str) -> float:
        return self._policy.deadline(self._job.seam, name)

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill(self._log)

    def _fault(self, text: str) -> PluginError:
        self._kill()
        return PluginError(f"{self._what} {text}{self._log.where()}")


class _Process:
    """A process that was made for a plugin. loaded: None before it was asked to import it, False until it has."""

    def __init__(self, job: host.Job) -> None:
        # What a runtime has started is its container's, and ends with that.
        self._kill = os.kill if job.seam == "runtime" else os.killpg
        self.maker = os.getpid()
        self.loaded: bool | None = None
        self.began = 0.0
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._output, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(output, True)
        try:
            self.pid = _forked(job, theirs, output) if single_threaded() else _executed(job, theirs, output)
        except BaseException:
            ours.close()
            os.close(self._output)
            raise
        finally:
            theirs.close()
            os.close(output)
        self.channel = Channel(ours)
        self._ended = os.pidfd_open(self.pid)
        self._code: int | None = None

    def look(self, seconds: float, log: Log) -> bool:
        """Wait that long for an answer, keep what it prints; False when it has ended without one."""
        poller = select.poll()
        for fd in (self.channel.fileno(), self._output, self._ended):
            poller.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poller.poll(seconds * 1000)}
        if self._output in ready:
            self.drain(log)
        if self.channel.fileno() in ready:
            with suppress(ConnectionError):
                return self.channel.feed()
            return False
        return self._ended not in ready

    def drain(self, log: Log) -> None:
        """Move what it has printed into the log."""
        with suppress(BlockingIOError):
            while text := os.read(self._output, 1 << 16):
                log.write(text)
                if len(text) < 1 << 16:
                    return

    def memory(self) -> int:
        """Bytes of memory that it has; 0 when it is gone."""
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
        return 0

    def death(self) -> str:
        """How it ended, in words; it is killed if it has only closed the channel."""
        if not self._ends(1000):
            return "stopped answering and was ended"
        self._reap()
        if self._code is None:
            return "ended"
        if self._code < 0:
            return f"was killed by {_signal_name(-self._code)}"
        return f"exited with code {self._code}"

    def end(self, log: Log) -> None:
        """Let it end; it is killed when it does not."""
        self.channel.close()
        if self._ends(1000):
            self.drain(log)
            self._reap()
            self._close()
        else:
            self.kill(log)

    def kill(self, log: Log) -> None:
        """End it now, and where it is no runtime what it has started in its session."""
        self.drain(log)
        if self._code is None:
            # One that was only just made has no group of its own yet, and would be waited for as long as it lives.
            for kill in (self._kill, os.kill):
                with suppress(ProcessLookupError):
                    kill(self.pid, signal.SIGKILL)
            self._reap()
        self.channel.close()
        self._close()

    def forget(self) -> None:
        """Leave it to the process that made it and was forked: its descriptors may be other files here."""
        self.channel.detach()

    def _ends(self, milliseconds: int) -> bool:
        poller = select.poll()
        poller.register(self._ended, select.POLLIN)
        return bool(poller.poll(milliseconds))

    def _reap(self) -> None:
        if self._code is None:
            with suppress(ChildProcessError):  # somebody who reaps all children was faster
                self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _close(self) -> None:
        os.close(self._output)
        os.close(self._ended)


def _forked(job: host.Job, channel: socket.socket, output: int) -> int:
    maker = os.getpid()
    pid = os.fork()
    if pid == 0:
        host.become(job, channel.fileno(), output, maker)
    return pid


def _executed(job: host.Job, channel: socket.socket, output: int) -> int:
    import subprocess

    data = os.memfd_create("plugin")
    try:
        os.write(data, json.dumps(to_data(job)).encode())
        os.lseek(data, 0, os.SEEK_SET)
        fds = (data, channel.fileno(), output)
        arguments = seal.command("cmanager.plugins.host:executed", [*map(str, fds), str(os.getpid())])
        return subprocess.Popen(arguments, pass_fds=fds, stdin=subprocess.DEVNULL).pid
    finally:
        os.close(data)


def _event(method: Method | None) -> Any:
    """The type of what a method's callback is called with."""
    hint = next(hint for hint in method.hints.values() if is_callback(hint)) if method else None
    return typing.get_args(hint)[0][0]


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
