"""A machine of its own to measure on, and nothing left of it.

The work is done in a child with network and mount namespaces: bridges, rules and packets stay there, /run and /dev/shm
are empty, and what is written to /etc and /var/lib goes to a directory that is removed. Whoever the peers leave behind
becomes a child of the parent, a subreaper (prctl(2)), which ends them, also when the work was interrupted or killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from cmanager.linux import syscalls
from tests.support import Snapshot

from . import leaks

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HIDDEN, _COVERED = ("/run", "/dev/shm"), ("/etc", "/var/lib")


@frozen
class Place:
    """disk: directory for what lasts; memory: one on a tmpfs for what does not; above: pid whose descendants are all
    processes that the work has started, the one that does it too."""

    disk: Path
    memory: Path
    above: int


def within(work: Callable[[Place], int]) -> int:
    """Do the work in such a place; returns its exit code, 1 where anything is left, and says on stderr what was."""
    before = leaks.machine()
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    directory = Path(tempfile.mkdtemp(prefix="cmanager-bench-", dir="/var/tmp"))  # /tmp may be memory
    try:
        code = _watched(work, Place(directory, Path("/run/bench"), os.getpid()))
    finally:
        killed = _end_all()
        _remove_cgroups(leaks.machine().cgroups - before.cgroups)
        shutil.rmtree(directory, ignore_errors=True)
    return max(code, _told(before, killed, directory))


def _watched(work: Callable[[Place], int], place: Place) -> int:
    child = os.fork()
    if child == 0:
        os._exit(_child(work, place))
    for number in _FORWARDED:
        signal.signal(number, lambda number, frame: os.kill(child, number))
    while True:
        pid, status = os.wait()
        if pid == child:
            break
    for number in _FORWARDED:
        signal.signal(number, signal.SIG_IGN)  # what is left to do is not to be left half done
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _child(work: Callable[[Place], int], place: Place) -> int:
    os.setsid()  # a key that interrupts reaches the parent alone, which hands it on; the measured see none
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        _enter(place)
        return work(place)
    except KeyboardInterrupt:
        return 130
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 1
    except OSError as error:
        print(f"benchmarks: cannot make a place to measure in: {error}", file=sys.stderr)
        return 125
    finally:
        sys.stdout.flush()


def _enter(place: Place) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "none", syscalls.MS_PRIVATE | syscalls.MS_REC)
    for path in _HIDDEN:
        syscalls.mount("tmpfs", path, "tmpfs", 0)
    for path in _COVERED:
        name = path.replace("/", "-")
        upper, scratch = place.disk / f"upper{name}", place.disk / f"work{name}"
        upper.mkdir()
        scratch.mkdir()
        syscalls.mount("overlay", path, "overlay", 0, f"lowerdir={path},upperdir={upper},workdir={scratch}")
    place.memory.mkdir()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _end_all() -> list[str]:
    """Kill what still runs below this process; returns what that was."""
    killed: dict[int, str] = {}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        running = leaks.below(os.getpid())
        for pid, found in running.items():
            killed[pid] = str(found)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        if not running:
            break
        time.sleep(0.05)
    return list(killed.values())


def _remove_cgroups(paths: frozenset[str]) -> None:
    for _ in range(20):
        for path in sorted(paths, reverse=True):  # the inner ones first
            with suppress(OSError):
                os.rmdir(path)
        if not any(map(os.path.exists, paths)):
            return
        time.sleep(0.1)  # who was killed a moment ago is still in them


def _told(before: Snapshot, killed: list[str], directory: Path) -> int:
    if killed:
        print(f"benchmarks: {len(killed)} processes had to be ended: {'; '.join(killed[:3])}", file=sys.stderr)
    left = leaks.machine().beyond(before, leaks.KINDS)
    if processes := leaks.below(os.getpid()):
        left["processes"] = [str(found) for found in processes.values()]
    if directory.exists():
        left["files"] = [str(directory)]
    if left:
        print(f"benchmarks: left on the machine: {left}", file=sys.stderr)
        return 1
    kinds = ", ".join(sorted({*leaks.KINDS, "processes", "files"}))
    print(f"benchmarks: the machine is as it was before: {kinds}", file=sys.stderr)
    return 0
