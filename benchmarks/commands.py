"""One command: how it is run, how long that takes, and whether it did what it should."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from attrs import field, frozen


class Refused(Exception):
    """What was done is not what was to be compared: a failure, another answer, another version."""


@frozen
class Command:
    """A command and its answer.

    words: argv, the first an absolute path; variables: laid over the environment; code: what it must exit with; says:
    regular expression for the whole of its standard output, None where that is not looked at.
    """

    words: tuple[str, ...]
    variables: Mapping[str, str] = field(factory=dict)
    code: int = 0
    says: str | None = ""

    def __str__(self) -> str:
        return " ".join(self.words)


def complaint(command: Command, code: int, out: str, err: str) -> str:
    """Why this is not the work that was asked for, "" when it is. code: 128 + n for signal n."""
    last = (err.strip().splitlines() or ["no reason given"])[-1]
    if code != command.code:
        return f"{command} exited with {code} and not {command.code}: {last}"
    if command.says is not None and not re.fullmatch(command.says, out):
        return f"{command} printed {out[:200]!r} and not {command.says[:200]!r}"
    return ""


def run(command: Command) -> str:
    """Run it to its end; returns its standard output. Raises Refused."""
    return _finish(command)[1]


def seconds(command: Command) -> float:
    """How long it takes from its start to its end, without what looks at the answer. Raises Refused."""
    return _finish(command)[0]


def together(commands: Iterable[Command], parallel: int) -> float:
    """Seconds that all of them take with so many at a time; the next starts as soon as one has ended.

    None of them may print anything that its `says` does not allow of all of them at once. Raises Refused, when all that
    were started have ended.
    """
    out, err = _file("out"), _file("err")
    running: dict[int, Command] = {}
    problem = ""
    try:
        began = time.perf_counter()
        for command in commands:
            if len(running) == parallel:
                problem = _reap(running, out, err)
            if problem:
                break
            running[_spawn(command, out, err)] = command
        while running:
            problem = _reap(running, out, err) or problem
        took = time.perf_counter() - began
    except BaseException:
        _end(running)
        raise
    finally:
        os.close(out)
        os.close(err)
    if problem:
        raise Refused(problem)
    return took


def _reap(running: dict[int, Command], out: int, err: int) -> str:
    pid, status = os.wait()
    if pid not in running:
        raise Refused(f"process {pid}, which a peer needs, has ended")
    return complaint(running.pop(pid), _code(status), _text(out), _text(err))


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _finish(command: Command) -> tuple[float, str]:
    out, err = _file("out"), _file("err")
    try:
        began = time.perf_counter()
        pid = _spawn(command, out, err)
        try:
            status = os.waitpid(pid, 0)[1]
        except BaseException:
            _end([pid])
            raise
        took = time.perf_counter() - began
        said = _text(out)
        if problem := complaint(command, _code(status), said, _text(err)):
            raise Refused(problem)
    finally:
        os.close(out)
        os.close(err)
    return took, said


def _spawn(command: Command, out: int, err: int) -> int:
    try:
        return os.posix_spawn(
            command.words[0],
            command.words,
            {**os.environ, **command.variables},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out, 1),
                (os.POSIX_SPAWN_DUP2, err, 2),
            ],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # what Python ignores would be ignored in them too
        )
    except OSError as error:
        raise Refused(f"cannot execute {command.words[0]}: {error.strerror}") from None


def _file(name: str) -> int:
    # Not a pipe: who waits for its end would wait for every daemon that a command leaves.
    return os.memfd_create(name, os.MFD_CLOEXEC)


def _text(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "replace")


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
