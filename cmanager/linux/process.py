"""Processes that cannot be mistaken for others: pid, start time and boot id together (pidfd_open(2), proc(5))."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from functools import cache

from ..errors import HostError
from . import files
from .values import frozen


@cache
def boot_id() -> str:
    """The kernel's random id of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time(pid: int) -> int:
    """Clock ticks after boot at which `pid` started, 0 when there is no such process or it is a zombie."""
    try:
        state, *fields = files.read_small(f"/proc/{pid}/stat").rpartition(")")[2].split(maxsplit=20)
    except OSError:
        return 0
    return 0 if state in "ZX" else int(fields[18])


def reap(pid: int) -> int:
    """Wait for a child; its exit code, 128 + n when signal n killed it (waitpid(2)). ChildProcessError."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def reap_others(spared: set[int]) -> None:
    """Take the exit codes of what was left to us, a subreaper (prctl(2)), but for those whom somebody waits for."""
    for pid in set(children(os.getpid())) - spared:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def single_threaded() -> bool:
    """Whether this process may be forked and go on in the child: locks of other threads would stay locked there."""
    return len(os.listdir("/proc/self/task")) == 1


def children(pid: int) -> list[int]:
    """Children of a single-threaded process, zombies and adopted ones too, the oldest first; none when it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return _by_parent(pid) if os.path.exists(f"/proc/{pid}") else []  # a kernel without CONFIG_PROC_CHILDREN
    except OSError:
        return []


def _by_parent(pid: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == pid:
                found.append(int(name))
    return sorted(found, key=lambda child: (start_time(child), child))


@frozen
class Process:
    """One process of one boot. pid: int; started: clock ticks after boot; boot: str, the boot id."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """The identity of a process that runs now."""
        return cls(pid, start_time(pid), boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs: zombies and processes that inherited the number do not count."""
        return self.boot == boot_id() and self.started != 0 and start_time(self.pid) == self.started

    def namespaces(self) -> dict[str, int]:
        """Inode numbers of its namespaces by their names in /proc/PID/ns (namespaces(7)); empty when it is gone."""
        found = {}
        for name in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"):
            with suppress(OSError):
                found[name] = os.stat(f"/proc/{self.pid}/ns/{name}").st_ino
        return found if self.alive() else {}

    def send(self, number: int) -> bool:
        """Send a signal through a pidfd; False when the process is gone. Never reaches a process with a reused pid."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, number)
                return True
            return False
        finally:
            os.close(fd)

    def signal(self, number: int, id: str) -> None:
        """What `cmanager.seams.Runtime.kill` promises, of container `id` whose first process this is: `send`, but
        HostError for a number that is no signal."""
        try:
            self.send(number)
        except OSError as error:
            raise HostError.of(f"send signal {number} to", id[:12], error) from None

    def wait_gone(self, seconds: float, or_readable: int = -1) -> bool:
        """Wait until it has ended, at most so long; True when it has.

        or_readable: a descriptor that ends the wait as well, with False.
        """
        import select

        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive():
                return True
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            if or_readable >= 0:
                poller.register(or_readable, select.POLLIN)
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                if ready := poller.poll(min(left * 1000, 10**8)):
                    return fd in dict(ready)
            return False
        finally:
            os.close(fd)
