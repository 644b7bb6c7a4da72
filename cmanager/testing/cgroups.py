"""What the suites of the limiter seam share: containers, disks, and processes in a cgroup."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from ..errors import UnsupportedError
from ..linux import cgroups, syscalls
from ..model import Limits
from ..seams import Limiter
from .suite import Suite

_PR_SET_PDEATHSIG = 1  # prctl(2)
_DISK = 8 << 20  # bytes


@pytest.mark.root
class OnCgroups(Suite):
    """What the suites of the seam share: containers, and what is left of them."""

    seam = "limiter"
    ability: ClassVar[type] = Limiter

    @pytest.fixture
    def container(self, provider: Limiter) -> Iterator[Callable[[], str]]:
        """Ids for containers; what they have is removed afterwards, with the cgroup above that was made for them."""
        before = _tops()
        ids: list[str] = []

        def new() -> str:
            ids.append(os.urandom(32).hex())
            return ids[-1]

        yield new
        above = {os.path.dirname(provider.create(id, Limits()).path) for id in ids}
        for id in ids:
            provider.remove(id)
        assert not set(ids) & provider.owned(), "what was removed must not be owned"
        # A limiter may keep its parent for the next container; for a test there is none.
        for path in above - {"", "/"}:
            for hierarchy in cgroups.hierarchies():
                if hierarchy.path(path) not in before:
                    with suppress(OSError):
                        os.rmdir(hierarchy.path(path))

    @pytest.fixture
    def id(self, container: Callable[[], str]) -> str:
        """A container's id."""
        return container()

    @pytest.fixture
    def process(self, provider: Limiter, id: str) -> Iterator[int]:
        """A process that counts in the container's cgroup, and computes."""
        pid = spawn(provider.create(id, Limits(pids=10)).path, burn)
        yield pid
        # Not by a signal first: a frozen process of cgroup v1 takes none.
        provider.remove(id)
        end(pid)

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[str]:
        """A block device of 8 MiB, and nobody else's."""
        if shutil.which("modprobe"):
            subprocess.run(["modprobe", "--quiet", "loop"], check=False)
        with (tmp_path / "disk").open("wb") as file:
            file.truncate(_DISK)
        made = subprocess.run(
            ["losetup", "--find", "--show", tmp_path / "disk"], capture_output=True, text=True, check=False
        )
        if made.returncode:
            pytest.skip(f"no loop device: {made.stderr.strip()}")
        yield made.stdout.strip()
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def checked(provider: Limiter, limits: Limits) -> Limits:
    """These limits; skips where the host cannot apply them."""
    try:
        provider.check(limits)
    except UnsupportedError as error:
        pytest.skip(str(error))
    return limits


def spawn(path: str, act: Callable[[], object]) -> int:
    """A process that is in the cgroup when this returns, doing `act` until it is killed."""
    joined, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for hierarchy in cgroups.hierarchies():
                if os.path.exists(hierarchy.path(path)):
                    cgroups.join(hierarchy.path(path))
            os.write(tell, b"1")
            os.close(tell)
            act()
        finally:
            os._exit(0)
    os.close(tell)
    assert os.read(joined, 1) == b"1", f"no process could be put into {path}"
    os.close(joined)
    return pid


def told(path: str, act: Callable[[], str]) -> str:
    """What `act` returns in a process of the cgroup."""
    hear, tell = os.pipe()
    pid = spawn(path, lambda: os.write(tell, act().encode()))
    os.close(tell)
    with os.fdopen(hear) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def most_forks(path: str, wanted: int) -> int:
    """How many children a process of the cgroup can have, at most `wanted`; all are gone afterwards."""

    def fork() -> str:
        children: list[int] = []
        with suppress(BlockingIOError):
            while len(children) < wanted:
                children.append(os.fork())
                if children[-1] == 0:
                    signal.pause()
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        return str(len(children))

    return int(told(path, fork) or 0)


def opens(what: str) -> str:
    """Whether "null r", "zero w" and the like can be opened: "ok", or the name of the errno."""
    name, _, access = what.partition(" ")
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDONLY if access == "r" else os.O_WRONLY))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    return "ok"


def makes(path: str, major: int, minor: int) -> str:
    """Whether a character device can be made there (mknod(2)): "ok", or the name of the errno."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(major, minor))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    return "ok"


def use(size: int) -> None:
    """Touch so much memory."""
    kept = bytearray(size)
    for at in range(0, size, 4096):
        kept[at] = 1


def burn() -> None:
    """Compute until it is killed."""
    while True:
        sum(range(1000))


def hold(size: int, tell: int) -> None:
    """Touch so much memory, tell and keep it."""
    kept = bytearray(size)
    for at in range(0, size, 4096):
        kept[at] = 1
    os.write(tell, b"1")
    signal.pause()


def end(pid: int) -> None:
    """Kill a child that the test may have ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return  # the test ended it


def until(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Wait for something, and fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s: {what}"
        time.sleep(0.01)


def _tops() -> set[str]:
    """Cgroups at the top of every hierarchy."""
    mountpoints = [hierarchy.mountpoint for hierarchy in cgroups.hierarchies()]
    return {f"{place}/{name}" for place in mountpoints for name in os.listdir(place)}
