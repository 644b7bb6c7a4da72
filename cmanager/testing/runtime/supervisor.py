"""Tests that run where a runtime is called: in a small process of their own, as each container's supervisor is.

It is forked, single-threaded and a subreaper, ignores the signals that the supervisor ignores, and lives in namespaces
of its own, so that a runtime with a fault cannot change the host's mounts, host name or network.
"""

from __future__ import annotations

import functools
import gc
import inspect
import json
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

import pytest
from attrs import astuple

from ...linux import mounts, syscalls
from ...linux.process import Process

#: Seconds for one test, and for killing what it left.
LIMIT, LIMIT_OF_END = 60, 15
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGTSTP)

Suite = TypeVar("Suite", bound=type)


def supervised(suite: Suite) -> Suite:
    """Class decorator: every test of this class runs in a supervisor of its own; fixtures are made outside."""
    for name, test in list(vars(suite).items()):
        if name.startswith("test_"):
            setattr(suite, name, _supervised(test))
    return suite


def _supervised(test: Callable[..., None]) -> Callable[..., None]:
    assert inspect.isfunction(test), test

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        box = fixtures.get("box")
        in_supervisor(functools.partial(test, *arguments, **fixtures), box.ready if box else frozenset)

    return run


def in_supervisor(body: Callable[[], None], prepare: Callable[[], frozenset[int]] = frozenset) -> None:
    """Run `body` in a supervisor; its failure or skip becomes the caller's, and so does a process that it left.

    prepare: called there before; the processes that it returns may stay as long as the supervisor, and no longer.
    """
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if pid == 0:
            _supervise(body, prepare, said.fileno())
        status = os.waitpid(pid, 0)[1]
        said.seek(0)
        text = said.read()
    outcome = json.loads(text) if text else {"failed": f"the supervisor died with status {status:#x}"}
    if "skipped" in outcome:
        pytest.skip(outcome["skipped"])
    if "failed" in outcome:
        pytest.fail(outcome["failed"], pytrace=False)
    for kept in outcome["kept"]:
        assert Process(*kept).wait_gone(LIMIT_OF_END), "a process that the runtime keeps must end with its supervisor"


def _supervise(body: Callable[[], None], prepare: Callable[[], frozenset[int]], said: int) -> NoReturn:
    outcome: dict[str, Any] = {"failed": "the test did not end"}
    try:
        gc.freeze()  # what earlier tests left open is not closed in the middle of this one
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        mounts.make_private_namespace()
        syscalls.unshare(syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWNET)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(LIMIT)
        kept, outcome = _outcome(body, prepare)
        signal.alarm(LIMIT_OF_END)
        left = end_descendants(kept)
        if left and not outcome:
            outcome = {"failed": f"the test left processes behind: {'; '.join(left)}"}
        outcome["kept"] = [astuple(Process.of(pid)) for pid in kept]
    finally:
        os.write(said, json.dumps(outcome).encode())
        os._exit(0)


def _outcome(body: Callable[[], None], prepare: Callable[[], frozenset[int]]) -> tuple[frozenset[int], dict[str, Any]]:
    kept: frozenset[int] = frozenset()
    try:
        kept = prepare()
        body()
    except pytest.skip.Exception as skipped:
        return kept, {"skipped": str(skipped)}
    except pytest.fail.Exception as failed:
        return kept, {"failed": str(failed)}
    except BaseException:
        return kept, {"failed": traceback.format_exc()}
    return kept, {}


def _too_long(number: int, frame: object) -> NoReturn:
    raise TimeoutError(f"nothing happened for {LIMIT} s")


def descendants() -> dict[int, str]:
    """Living processes below this one, with their command lines."""
    parents, names = {}, {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with suppress(OSError):
            with open(f"/proc/{pid}/stat", "rb") as file:
                state, parent, *_ = file.read().rpartition(b")")[2].split()
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                names[pid] = file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            if state not in (b"Z", b"X"):
                parents[pid] = int(parent)
    found: set[int] = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: names[pid] for pid in sorted(found - {os.getpid()})}


def end_descendants(kept: frozenset[int] = frozenset()) -> list[str]:
    """Kill and reap everything below this process but `kept`; returns what still lived, as text."""
    reap()
    left = [f"{pid} {name}" for pid, name in descendants().items() if pid not in kept]
    while below := set(descendants()) - kept:
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap()
        time.sleep(0.01)
    reap()
    return left


def reap() -> None:
    """Collect the zombies that this process has inherited."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def until(true: Callable[[], object], what: str, seconds: float = 10) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s: {what}"
        time.sleep(0.01)
