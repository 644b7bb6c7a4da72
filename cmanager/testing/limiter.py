"""The conformance suite of the limiter seam.

    class TestMine(LimiterSuite):
        provider = "mine"

Needs root and a cgroup hierarchy. Each test has containers of its own and takes away what it made. A limit that `check`
refuses as unsupported on this host is skipped.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ..errors import CmanagerError, InvalidError, NotFoundError, UnsupportedError
from ..linux import cgroups, syscalls
from ..linux.cgroupfs.alarm import Alarm
from ..model import Cgroup, DeviceRule, Limits, Usage
from ..seams import Limiter, Watch
from .suite import Suite, steady

_LESS, _MORE = 64, 4096
_PR_SET_PDEATHSIG = 1  # prctl(2)
_BURNING = 0.6  # seconds
_COUNTERS = (
    *("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds", "cpu_periods", "cpu_throttled_periods"),
    *("cpu_throttled_seconds", "memory_peak_bytes", "memory_limit_hits", "memory_high_hits", "memory_ooms"),
    *("oom_kills", "swap_peak_bytes", "pids_peak", "pids_limit_hits"),
)


@pytest.mark.root
class LimiterSuite(Suite):
    """Every promise of `cmanager.seams.Limiter`, checked."""

    seam = "limiter"
    ability = Limiter

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
        pid = _spawn(provider.create(id, Limits(pids=10)).path, _burn)
        yield pid
        # Not by a signal first: a frozen process of cgroup v1 takes none.
        provider.remove(id)
        _end(pid)

    @pytest.fixture
    def loop(self, tmp_path: Path) -> Iterator[str]:
        """A block device that only this test uses; by bfq where there is that, for which v1 counts on every kernel."""
        (tmp_path / "disk").write_bytes(bytes(16 << 20))
        done = subprocess.run(["losetup", "-f", "--show", str(tmp_path / "disk")], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no loop device can be made here: {done.stderr.strip()}")
        device = done.stdout.strip()
        with suppress(OSError), open(f"/sys/block/{os.path.basename(device)}/queue/scheduler", "w") as scheduler:
            scheduler.write("bfq")
        yield device
        subprocess.run(["losetup", "-d", device], check=True)

    def test_it_is_a_limiter(self, provider: Limiter) -> None:
        assert isinstance(provider, Limiter), "a method of cmanager.seams.Limiter is missing"

    # -- what is made ------------------------------------------------------------------------------------------------

    def test_what_is_made_is_owned_until_it_is_removed(self, provider: Limiter, id: str) -> None:
        assert id not in provider.owned(), "a container that has no cgroup must not be owned"
        made = provider.create(id, Limits())
        assert isinstance(made, Cgroup)
        assert made.path.endswith(f"/{id}"), "the cgroup must be named after the container's id"
        there = [hierarchy for hierarchy in cgroups.hierarchies() if os.path.isdir(hierarchy.path(made.path))]
        assert there, f"{made.path} is in no hierarchy: a path counts from the top of each"
        assert id in provider.owned(), "owned must tell of every container that has a cgroup"
        provider.remove(id)
        assert id not in provider.owned(), "what was removed must not be owned"
        left = [hierarchy.path(made.path) for hierarchy in there if os.path.exists(hierarchy.path(made.path))]
        assert left == [], "remove must take the cgroup away in every hierarchy"

    def test_removing_what_is_gone_is_success(self, provider: Limiter, id: str) -> None:
        provider.remove(id)
        provider.create(id, Limits())
        provider.remove(id)
        provider.remove(id)

    def test_a_cgroup_of_an_earlier_run_is_removed_first(self, provider: Limiter, id: str, process: int) -> None:
        provider.create(id, Limits())
        assert os.WTERMSIG(_ended(process)) == signal.SIGKILL, "what runs in the old cgroup must be killed"
        assert provider.usage(id).pids in (0, None), "a new cgroup must be empty"

    def test_limits_of_an_earlier_run_are_forgotten(self, provider: Limiter, id: str) -> None:
        _checked(provider, Limits(pids=2))
        provider.create(id, Limits(pids=2))
        assert _most_forks(provider.create(id, Limits()).path, 8) == 8, "the old limit must not hold any more"

    def test_a_failure_leaves_nothing(self, provider: Limiter, id: str) -> None:
        with pytest.raises(CmanagerError):
            provider.create(id, Limits(pids=8, cpuset_cpus="4095"))
        assert id not in provider.owned(), "after a failed create nothing may be left"
        provider.create(id, Limits())

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
        ids=lambda limits: "-".join(map(str, next(iter(limits.given().items())))),
    )
    def test_values_out_of_range_are_refused_before_anything_is_made(
        self, provider: Limiter, id: str, limits: Limits
    ) -> None:
        with pytest.raises(InvalidError):
            provider.check(limits)
        assert id not in provider.owned(), "check must change nothing"

    def test_nothing_is_held_for_containers_that_are_gone(self, provider: Limiter, id: str) -> None:
        """Neither descriptors nor threads nor processes grow with the number of containers."""

        def live(number: int) -> None:
            provider.create(id, Limits(pids=10 + number))
            provider.usage(id)
            provider.freeze(id, True)
            provider.freeze(id, False)
            provider.kill(id)
            provider.remove(id)

        steady(live)

    # -- limits ------------------------------------------------------------------------------------------------------

    def test_no_more_processes_than_allowed(self, provider: Limiter, id: str) -> None:
        _checked(provider, Limits(pids=4))
        assert _most_forks(provider.create(id, Limits(pids=4)).path, 8) == 3, "4 with the one that forks"

    def test_no_more_memory_than_allowed(self, provider: Limiter, id: str) -> None:
        limits = _checked(provider, Limits(memory=32 << 20))
        made = provider.create(id, limits)
        if made.warnings:
            pytest.skip(made.warnings[0])
        status = os.waitpid(_spawn(made.path, lambda: _use(128 << 20)), 0)[1]
        assert os.WIFSIGNALED(status), "128 MiB fitted into 32 MiB"
        assert os.WTERMSIG(status) == signal.SIGKILL, "128 MiB fitted into 32 MiB"
        assert provider.usage(id).oom_kills in (1, None), "usage must tell of the process that was killed for memory"

    def test_no_more_processor_time_than_allowed(self, provider: Limiter, id: str) -> None:
        pid = _spawn(provider.create(id, _checked(provider, Limits(cpus=0.05))).path, _burn)
        time.sleep(_BURNING)
        used = provider.usage(id).cpu_seconds
        provider.remove(id)
        _end(pid)
        assert used is None or used < _BURNING / 2, f"{used} s of {_BURNING}, where a twentieth was allowed"

    def test_a_share_of_the_processor_is_relative(self, provider: Limiter, container: Callable[[], str]) -> None:
        both = {shares: container() for shares in (_LESS, _MORE)}
        one = min(os.sched_getaffinity(0))
        pids = []

        def burn() -> None:
            os.sched_setaffinity(0, {one})
            _burn()

        for shares, id in both.items():
            path = provider.create(id, _checked(provider, Limits(cpu_shares=shares))).path
            pids.append(_spawn(path, burn))
        time.sleep(_BURNING)
        used = {shares: provider.usage(id).cpu_seconds for shares, id in both.items()}
        for id in reversed(both.values()):
            provider.remove(id)
        for pid in pids:
            _end(pid)
        assert (used[_MORE] or 0) > 2 * (used[_LESS] or 0), f"seconds by share on one processor: {used}"

    def test_only_the_given_processors(self, provider: Limiter, id: str) -> None:
        one = max(os.sched_getaffinity(0))
        path = provider.create(id, _checked(provider, Limits(cpuset_cpus=str(one)))).path
        told = _told(path, lambda: str(sorted(os.sched_getaffinity(0))))
        assert told == f"[{one}]", f"processor {one} alone was allowed"

    def test_only_the_given_devices(self, provider: Limiter, id: str) -> None:
        rules = (DeviceRule(False), DeviceRule(True, "c", 1, 3, "rwm"), DeviceRule(True, "c", 1, 5, "w"))
        path = provider.create(id, _checked(provider, Limits(devices=rules))).path
        tried = ("null r", "null w", "zero r", "zero w", "full r")
        told = _told(path, lambda: " ".join(map(_opens, tried)))
        assert told.split() == ["ok", "ok", "EPERM", "ok", "EPERM"], f"opened in turn: {', '.join(tried)}"

    def test_a_limit_is_changed_while_it_runs_and_others_stay(self, provider: Limiter, id: str) -> None:
        _checked(provider, Limits(pids=4, cpu_shares=512))
        path = provider.create(id, Limits(pids=4)).path
        provider.update(id, Limits(cpu_shares=512))
        assert _most_forks(path, 8) == 3, "a limit that was not changed must stay"
        provider.update(id, Limits(pids=6))
        assert _most_forks(path, 8) == 5, "a limit that was changed must hold at once"

    # -- what it is told of ------------------------------------------------------------------------------------------

    def test_a_process_is_counted(self, provider: Limiter, id: str, process: int) -> None:
        _until(lambda: (provider.usage(id).cpu_seconds or 0) > 0.01, "the processor time of a process that computes")
        usage = provider.usage(id)
        assert usage.pids == 1, "one process is in the cgroup"
        assert usage.oom_kills == 0, "none was killed for memory"
        assert usage.memory_bytes, "a process needs some memory"

    def test_processor_time_is_what_its_processes_took(self, provider: Limiter, id: str) -> None:
        pid = _spawn(provider.create(id, Limits()).path, lambda: _burn_for(_BURNING))
        took = os.wait4(pid, 0)[2]
        usage = provider.usage(id)
        if usage.cpu_seconds is None:
            pytest.skip("this limiter counts no processor time")
        assert usage.cpu_seconds == pytest.approx(took.ru_utime + took.ru_stime, rel=0.05, abs=0.02)
        if usage.cpu_user_seconds is not None:
            parts = usage.cpu_user_seconds + (usage.cpu_system_seconds or 0)
            assert parts == pytest.approx(usage.cpu_seconds, rel=0.1, abs=0.03), "user and system are all of it"
            assert usage.cpu_user_seconds > usage.cpu_seconds / 2, "it computed in user mode"

    def test_no_counter_falls(self, provider: Limiter, id: str, process: int) -> None:
        before = provider.usage(id)
        for _ in range(5):
            time.sleep(0.05)
            now = provider.usage(id)
            fell = [name for name in _COUNTERS if (getattr(before, name) or 0) > (getattr(now, name) or 0)]
            assert fell == [], "a counter must not fall while the cgroup lives"
            before = now

    def test_periods_in_which_it_had_to_wait_are_counted(self, provider: Limiter, id: str) -> None:
        pid = _spawn(provider.create(id, _checked(provider, Limits(cpus=0.05))).path, _burn)
        time.sleep(_BURNING)
        usage = provider.usage(id)
        provider.remove(id)
        _end(pid)
        if usage.cpu_periods is None:
            pytest.skip("this limiter counts no periods")
        assert usage.cpu_periods >= 3, "a period is a tenth of a second"
        assert 0 < (usage.cpu_throttled_periods or 0) <= usage.cpu_periods
        assert (usage.cpu_throttled_seconds or 0) > _BURNING / 4, "it waited for most of the time"

    def test_memory_that_is_touched_is_counted(self, provider: Limiter, id: str) -> None:
        size = 48 << 20
        hear, tell = os.pipe()
        pid = _spawn(provider.create(id, Limits()).path, lambda: _hold(size, tell))
        os.read(hear, 1)
        usage = provider.usage(id)
        provider.remove(id)
        _end(pid)
        os.close(hear)
        os.close(tell)
        for name in ("memory_bytes", "memory_peak_bytes", "memory_working_set_bytes", "memory_anonymous_bytes"):
            value = getattr(usage, name)
            assert value is None or size * 0.98 <= value < size * 1.5, f"{name} after {size} bytes were touched"

    def test_page_cache_is_told_apart(self, provider: Limiter, id: str, tmp_path: Path) -> None:
        size = 24 << 20
        path = provider.create(id, Limits()).path
        os.waitpid(_spawn(path, lambda: (tmp_path / "file").write_bytes(bytes(size))), 0)
        usage = provider.usage(id)
        if usage.memory_cache_bytes is None or usage.memory_cache_bytes < size / 2:
            pytest.skip("page cache is not counted here, or files are not in it")
        assert (usage.memory_bytes or 0) >= usage.memory_cache_bytes
        assert (usage.memory_working_set_bytes or 0) < (usage.memory_bytes or 0) - size / 2, "it can be dropped"

    def test_what_is_written_to_a_device_is_counted(self, provider: Limiter, id: str, loop: str) -> None:
        size = 8 << 20
        path = provider.create(id, Limits()).path
        assert _told(path, lambda: _write_direct(loop, size)) == "ok"
        info = os.stat(loop)
        usage = provider.usage(id)
        device = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
        found = [block for block in usage.block_io or () if block.device == device]
        if not found:
            pytest.skip("this kernel counts nothing for such a device")
        assert (found[0].written_bytes, found[0].read_bytes) == (size, 0)
        assert found[0].name == os.path.basename(loop)
        assert found[0].writes > 0

    def test_processes_are_counted_at_most_and_refused(self, provider: Limiter, id: str) -> None:
        path = provider.create(id, _checked(provider, Limits(pids=4))).path
        assert _most_forks(path, 8) == 3
        usage = provider.usage(id)
        assert usage.pids == 0, "all are gone"
        assert usage.pids_peak in (4, None)
        assert usage.pids_limit in (4, None)
        assert usage.pids_limit_hits is None or usage.pids_limit_hits > 0, "one more was refused"

    def test_a_limit_that_is_none_is_told_apart_from_one_that_is_not_offered(self, provider: Limiter, id: str) -> None:
        provider.create(id, Limits(pids=-1))
        usage = provider.usage(id)
        assert usage.memory_limit_bytes in (-1, None)
        assert usage.pids_limit in (-1, None)

    def test_what_it_names_tells_of_a_limit_that_is_reached(self, provider: Limiter, id: str) -> None:
        if not isinstance(provider, Watch):
            pytest.skip("this limiter names nothing that tells")
        assert provider.watched(id) == (), "there is nothing to hear of where there is no cgroup"
        path = provider.create(id, _checked(provider, Limits(pids=4))).path
        files = provider.watched(id)
        alarm = Alarm(files)
        try:
            if alarm.fd < 0:
                pytest.skip("this kernel tells of nothing")
            assert not select.select([alarm.fd], [], [], 0)[0], "nothing has happened yet"
            _most_forks(path, 8)
            told = bool(select.select([alarm.fd], [], [], 1)[0])
            first = [hierarchy.mountpoint for hierarchy in cgroups.hierarchies() if hierarchy.version == 1]
            if not told and any(file.path.startswith(f"{place}/") for file in files for place in first):
                pytest.skip("cgroup v1 of this kernel does not tell of processes: Linux 6.10 and later")
            assert told, "a fork was refused and nobody was told"
            assert (provider.usage(id).pids_limit_hits or 0) > 0, "usage must say what happened"
        finally:
            alarm.close()

    def test_what_is_gone_has_no_usage(self, provider: Limiter, id: str) -> None:
        assert provider.usage(id) == Usage(), "all counters must be None where there is no cgroup"

    # -- freeze and kill ---------------------------------------------------------------------------------------------

    def test_freezing_stops_it_and_thawing_lets_it_go_on(self, provider: Limiter, id: str, process: int) -> None:
        _until(lambda: (provider.usage(id).cpu_seconds or 0) > 0, "the processor time of a process that computes")
        provider.freeze(id, True)
        time.sleep(0.1)
        before = provider.usage(id).cpu_seconds
        time.sleep(0.2)
        assert provider.usage(id).cpu_seconds == before, "a frozen process must not compute"
        provider.freeze(id, False)
        _until(lambda: (provider.usage(id).cpu_seconds or 0) > (before or 0), "a thawed process goes on")

    def test_what_is_not_there_can_be_neither_frozen_nor_changed(self, provider: Limiter, id: str) -> None:
        with pytest.raises(NotFoundError):
            provider.freeze(id, True)
        with pytest.raises(NotFoundError):
            provider.update(id, Limits(pids=5))

    def test_killing_what_is_not_there_is_success(self, provider: Limiter, id: str) -> None:
        provider.kill(id)

    def test_killing_reaches_the_frozen(self, provider: Limiter, id: str, process: int) -> None:
        provider.freeze(id, True)
        provider.kill(id)
        assert os.WTERMSIG(_ended(process)) == signal.SIGKILL

    def test_killing_reaches_those_who_fork(self, provider: Limiter, id: str) -> None:
        path = provider.create(id, Limits(pids=64)).path
        pid = _spawn(path, _fork_on)
        _until(lambda: (provider.usage(id).pids or 0) > 8, "a process that forks")
        provider.kill(id)
        _ended(pid)
        _until(lambda: provider.usage(id).pids == 0, "all are killed, children that were just forked too")

    @pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
    def test_removing_kills_what_is_left(self, provider: Limiter, id: str, process: int, frozen: bool) -> None:
        if frozen:
            provider.freeze(id, True)
        provider.remove(id)
        assert os.WTERMSIG(_ended(process)) == signal.SIGKILL
        assert id not in provider.owned(), "the cgroup must go with its processes"


def _checked(provider: Limiter, limits: Limits) -> Limits:
    """These limits; skips where the host cannot apply them."""
    try:
        provider.check(limits)
    except UnsupportedError as error:
        pytest.skip(str(error))
    return limits


def _tops() -> set[str]:
    """Cgroups at the top of every hierarchy."""
    mountpoints = [hierarchy.mountpoint for hierarchy in cgroups.hierarchies()]
    return {f"{place}/{name}" for place in mountpoints for name in os.listdir(place)}


def _spawn(path: str, act: Callable[[], object]) -> int:
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


def _told(path: str, act: Callable[[], str]) -> str:
    """What `act` returns in a process of the cgroup."""
    hear, tell = os.pipe()
    pid = _spawn(path, lambda: os.write(tell, act().encode()))
    os.close(tell)
    with os.fdopen(hear) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def _most_forks(path: str, wanted: int) -> int:
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

    return int(_told(path, fork) or 0)


def _opens(what: str) -> str:
    name, _, access = what.partition(" ")
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDONLY if access == "r" else os.O_WRONLY))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    return "ok"


def _use(size: int) -> None:
    """Touch so much memory."""
    kept = bytearray(size)
    for at in range(0, size, 4096):
        kept[at] = 1


def _hold(size: int, tell: int) -> None:
    """Touch so much memory, tell and keep it."""
    kept = bytearray(size)
    for at in range(0, size, 4096):
        kept[at] = 1
    os.write(tell, b"1")
    signal.pause()


def _write_direct(device: str, size: int) -> str:
    """Write so much past the page cache."""
    with mmap.mmap(-1, size) as pages:  # aligned, as O_DIRECT wants it
        fd = os.open(device, os.O_WRONLY | os.O_DIRECT)
        written = os.write(fd, pages)
        os.close(fd)
    return "ok" if written == size else f"{written} bytes were written"


def _burn_for(seconds: float) -> None:
    """Take so much processor time."""
    while time.process_time() < seconds:
        sum(range(1000))


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


def _until(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s: {what}"
        time.sleep(0.01)


def _ended(pid: int, seconds: float = 10) -> int:
    """The status of a child that is about to end."""
    found = (0, 0)

    def gone() -> bool:
        nonlocal found
        found = os.waitpid(pid, os.WNOHANG)
        return found[0] == pid

    _until(gone, "the process is killed", seconds)
    return found[1]


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return  # the test ended it
