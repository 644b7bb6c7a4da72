"""The limiter seam's suite: what every provider must do, whatever it is built on."""

from __future__ import annotations

import os
import signal
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator

import pytest

from ..errors import InvalidError, NotFoundError
from ..linux import cgroups
from ..model import Limits
from ..seams import Limiter


class LimiterSuite:
    """Subclass it and say how the limiter is made. Needs root; every test removes what it makes."""

    @abstractmethod
    def make(self) -> Limiter:
        """A limiter whose cgroups nobody else uses."""

    @pytest.fixture
    def limiter(self) -> Limiter:
        return self.make()

    @pytest.fixture
    def id(self, limiter: Limiter) -> Iterator[str]:
        """A container's id; whatever it has is removed afterwards."""
        chosen = os.urandom(32).hex()
        yield chosen
        limiter.remove(chosen)
        assert chosen not in limiter.owned()

    @pytest.fixture
    def process(self, limiter: Limiter, id: str) -> Iterator[int]:
        """A process that counts in the container's cgroup."""
        path = limiter.create(id, Limits(pids=10)).path
        pid = _spawn(path, _burn)
        yield pid
        # Not by a signal first: a frozen process of cgroup v1 takes none.
        limiter.remove(id)
        _end(pid)

    def test_it_is_a_limiter(self, limiter: Limiter) -> None:
        assert isinstance(limiter, Limiter)

    def test_what_is_made_is_owned_until_it_is_removed(self, limiter: Limiter, id: str) -> None:
        assert id not in limiter.owned()
        path = limiter.create(id, Limits()).path
        assert path.endswith(id)
        assert id in limiter.owned()
        limiter.remove(id)
        assert id not in limiter.owned()
        limiter.remove(id)

    def test_making_it_again_starts_afresh(self, limiter: Limiter, id: str) -> None:
        limiter.create(id, Limits(pids=5))
        limiter.create(id, Limits())
        assert limiter.usage(id).pids in (0, None)

    @pytest.mark.parametrize(
        "limits",
        [
            Limits(memory=1),
            Limits(cpus=0.0),
            Limits(cpus=100_000.0),
            Limits(cpu_shares=1),
            Limits(pids=0),
            Limits(cpuset_cpus="one"),
            Limits(cpuset_cpus="4095"),
        ],
    )
    def test_values_out_of_range_are_refused_before_anything_is_made(
        self, limiter: Limiter, id: str, limits: Limits
    ) -> None:
        with pytest.raises(InvalidError):
            limiter.check(limits)
        assert id not in limiter.owned()

    def test_a_process_is_counted(self, limiter: Limiter, id: str, process: int) -> None:
        _until(lambda: (limiter.usage(id).cpu_seconds or 0) > 0.01)
        usage = limiter.usage(id)
        assert usage.pids == 1
        assert usage.oom_kills == 0
        assert usage.memory_bytes

    def test_what_is_gone_has_no_usage(self, limiter: Limiter, id: str) -> None:
        usage = limiter.usage(id)
        assert (usage.cpu_seconds, usage.memory_bytes, usage.pids) == (None, None, None)

    def test_freezing_stops_it_and_thawing_lets_it_go_on(self, limiter: Limiter, id: str, process: int) -> None:
        _until(lambda: (limiter.usage(id).cpu_seconds or 0) > 0)
        limiter.freeze(id, True)
        time.sleep(0.1)
        before = limiter.usage(id).cpu_seconds
        time.sleep(0.2)
        assert limiter.usage(id).cpu_seconds == before
        limiter.freeze(id, False)
        _until(lambda: (limiter.usage(id).cpu_seconds or 0) > (before or 0))

    def test_freezing_what_is_not_there_is_told(self, limiter: Limiter, id: str) -> None:
        with pytest.raises(NotFoundError):
            limiter.freeze(id, True)
        with pytest.raises(NotFoundError):
            limiter.update(id, Limits(pids=5))

    def test_killing_reaches_the_frozen(self, limiter: Limiter, id: str, process: int) -> None:
        limiter.freeze(id, True)
        limiter.kill(id)
        assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL

    def test_killing_reaches_those_who_fork(self, limiter: Limiter, id: str) -> None:
        path = limiter.create(id, Limits(pids=64)).path
        pid = _spawn(path, _fork_on)
        _until(lambda: (limiter.usage(id).pids or 0) > 8)
        limiter.kill(id)
        os.waitpid(pid, 0)
        _until(lambda: limiter.usage(id).pids == 0)

    def test_removing_kills_what_is_left(self, limiter: Limiter, id: str, process: int) -> None:
        limiter.remove(id)
        assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL

    def test_a_limit_is_changed_while_it_runs(self, limiter: Limiter, id: str) -> None:
        path = limiter.create(id, Limits(pids=64)).path
        pid = _spawn(path, _fork_on)
        limiter.update(id, Limits(pids=4))
        limiter.kill(id)
        os.waitpid(pid, 0)
        pid = _spawn(path, _fork_on)
        time.sleep(0.3)
        assert (limiter.usage(id).pids or 0) <= 4
        limiter.kill(id)
        os.waitpid(pid, 0)


def _spawn(path: str, act: Callable[[], None]) -> int:
    """A process that is in the cgroup when this returns, doing `act` until it is killed."""
    joined, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for hierarchy in cgroups.hierarchies():
                if os.path.exists(hierarchy.path(path)):
                    cgroups.join(hierarchy.path(path))
            os.write(tell, b"1")
            act()
        finally:
            os._exit(0)
    os.close(tell)
    assert os.read(joined, 1) == b"1"
    os.close(joined)
    return pid


def _burn() -> None:
    while True:
        sum(range(1000))


def _fork_on() -> None:
    while True:
        try:
            if os.fork() == 0:
                signal.pause()
        except BlockingIOError:
            time.sleep(0.001)


def _until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s"
        time.sleep(0.01)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return  # the test ended it
