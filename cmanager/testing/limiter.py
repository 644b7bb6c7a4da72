"""The conformance suite of the limiter seam.

    class TestMine(LimiterSuite):
        provider = "mine"

Needs root and a cgroup hierarchy. Each test has containers of its own and takes away what it made. A limit that `check`
refuses as unsupported on this host is skipped.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ..errors import CmanagerError, InvalidError, NotFoundError
from ..linux import cgroups
from ..model import Cgroup, DeviceRule, Limits, Usage
from ..seams import Limiter
from .accounting import Accounting
from .cgroups import burn, checked, end, makes, most_forks, opens, spawn, told, until, use
from .suite import steady

_LESS, _MORE = 64, 4096
_BURNING = 0.6  # seconds


class LimiterSuite(Accounting):
    """Every promise of `cmanager.seams.Limiter`, checked."""

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
        checked(provider, Limits(pids=2))
        provider.create(id, Limits(pids=2))
        assert most_forks(provider.create(id, Limits()).path, 8) == 8, "the old limit must not hold any more"

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
        checked(provider, Limits(pids=4))
        assert most_forks(provider.create(id, Limits(pids=4)).path, 8) == 3, "4 with the one that forks"

    def test_no_more_memory_than_allowed(self, provider: Limiter, id: str) -> None:
        limits = checked(provider, Limits(memory=32 << 20))
        made = provider.create(id, limits)
        if made.warnings:
            pytest.skip(made.warnings[0])
        status = os.waitpid(spawn(made.path, lambda: use(128 << 20)), 0)[1]
        assert os.WIFSIGNALED(status), "128 MiB fitted into 32 MiB"
        assert os.WTERMSIG(status) == signal.SIGKILL, "128 MiB fitted into 32 MiB"
        assert provider.usage(id).oom_kills in (1, None), "usage must tell of the process that was killed for memory"

    def test_no_more_processor_time_than_allowed(self, provider: Limiter, id: str) -> None:
        pid = spawn(provider.create(id, checked(provider, Limits(cpus=0.05))).path, burn)
        time.sleep(_BURNING)
        used = provider.usage(id).cpu_seconds
        provider.remove(id)
        end(pid)
        assert used is None or used < _BURNING / 2, f"{used} s of {_BURNING}, where a twentieth was allowed"

    def test_a_share_of_the_processor_is_relative(self, provider: Limiter, container: Callable[[], str]) -> None:
        both = {shares: container() for shares in (_LESS, _MORE)}
        one = min(os.sched_getaffinity(0))
        pids = []

        def burn_there() -> None:
            os.sched_setaffinity(0, {one})
            burn()

        for shares, id in both.items():
            path = provider.create(id, checked(provider, Limits(cpu_shares=shares))).path
            pids.append(spawn(path, burn_there))
        time.sleep(_BURNING)
        used = {shares: provider.usage(id).cpu_seconds for shares, id in both.items()}
        for id in reversed(both.values()):
            provider.remove(id)
        for pid in pids:
            end(pid)
        assert (used[_MORE] or 0) > 2 * (used[_LESS] or 0), f"seconds by share on one processor: {used}"

    def test_only_the_given_processors(self, provider: Limiter, id: str) -> None:
        one = max(os.sched_getaffinity(0))
        path = provider.create(id, checked(provider, Limits(cpuset_cpus=str(one)))).path
        allowed = told(path, lambda: str(sorted(os.sched_getaffinity(0))))
        assert allowed == f"[{one}]", f"processor {one} alone was allowed"

    def test_only_the_given_devices(self, provider: Limiter, id: str) -> None:
        rules = (DeviceRule(False), DeviceRule(True, "c", 1, 3, "rwm"), DeviceRule(True, "c", 1, 5, "w"))
        path = provider.create(id, checked(provider, Limits(devices=rules))).path
        tried = ("null r", "null w", "zero r", "zero w", "full r")
        said = told(path, lambda: " ".join(map(opens, tried)))
        assert said.split() == ["ok", "ok", "EPERM", "ok", "EPERM"], f"opened in turn: {', '.join(tried)}"

    def test_only_nodes_of_the_given_devices_are_made(self, provider: Limiter, id: str, tmp_path: Path) -> None:
        rules = (DeviceRule(False), DeviceRule(True, "c", 1, 3, "rwm"), DeviceRule(True, "c", 1, 5, "rw"))
        path = provider.create(id, checked(provider, Limits(devices=rules))).path
        minors = {"null": 3, "zero": 5, "full": 7}
        said = told(path, lambda: " ".join(makes(str(tmp_path / name), 1, minor) for name, minor in minors.items()))
        assert said.split() == ["ok", "EPERM", "EPERM"], f"mknod(2) in turn: {', '.join(minors)}"

    def test_a_limit_is_changed_while_it_runs_and_others_stay(self, provider: Limiter, id: str) -> None:
        checked(provider, Limits(pids=4, cpu_shares=512))
        path = provider.create(id, Limits(pids=4)).path
        provider.update(id, Limits(cpu_shares=512))
        assert most_forks(path, 8) == 3, "a limit that was not changed must stay"
        provider.update(id, Limits(pids=6))
        assert most_forks(path, 8) == 5, "a limit that was changed must hold at once"

    # -- what it is told of ------------------------------------------------------------------------------------------

    def test_a_process_is_counted(self, provider: Limiter, id: str, process: int) -> None:
        until(lambda: (provider.usage(id).cpu_seconds or 0) > 0.01, "the processor time of a process that computes")
        usage = provider.usage(id)
        assert usage.pids == 1, "one process is in the cgroup"
        assert usage.oom_kills == 0, "none was killed for memory"
        assert usage.memory_bytes, "a process needs some memory"
        assert usage.network is None, "the manager counts that itself"

    def test_looking_costs_no_process(self, provider: Limiter, id: str) -> None:
        """As `stats` does it for every container, again and again; a child that is reaped has had page faults."""
        provider.create(id, Limits())
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        provider.usage(id)
        assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt == before, "usage ran another program"

    def test_what_is_gone_has_no_usage(self, provider: Limiter, id: str) -> None:
        assert provider.usage(id) == Usage(), "all counters must be None where there is no cgroup"

    # -- freeze and kill ---------------------------------------------------------------------------------------------

    def test_freezing_stops_it_and_thawing_lets_it_go_on(self, provider: Limiter, id: str, process: int) -> None:
        until(lambda: (provider.usage(id).cpu_seconds or 0) > 0, "the processor time of a process that computes")
        provider.freeze(id, True)
        time.sleep(0.1)
        before = provider.usage(id).cpu_seconds
        time.sleep(0.2)
        assert provider.usage(id).cpu_seconds == before, "a frozen process must not compute"
        provider.freeze(id, False)
        until(lambda: (provider.usage(id).cpu_seconds or 0) > (before or 0), "a thawed process goes on")

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
        pid = spawn(path, _fork_on)
        until(lambda: (provider.usage(id).pids or 0) > 8, "a process that forks")
        provider.kill(id)
        _ended(pid)

        def gone() -> bool:
            # To a subreaper, and the first of a pid namespace, orphans come; they count until they are reaped.
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    continue
            return provider.usage(id).pids == 0

        until(gone, "all are killed, children that were just forked too")

    @pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
    def test_removing_kills_what_is_left(self, provider: Limiter, id: str, process: int, frozen: bool) -> None:
        if frozen:
            provider.freeze(id, True)
        provider.remove(id)
        assert os.WTERMSIG(_ended(process)) == signal.SIGKILL
        assert id not in provider.owned(), "the cgroup must go with its processes"


def _fork_on() -> None:
    while True:
        try:
            if os.fork() == 0:
                signal.pause()
        except BlockingIOError:
            time.sleep(0.001)


def _ended(pid: int, seconds: float = 10) -> int:
    """The status of a child that is about to end."""
    found = (0, 0)

    def gone() -> bool:
        nonlocal found
        found = os.waitpid(pid, os.WNOHANG)
        return found[0] == pid

    until(gone, "the process is killed", seconds)
    return found[1]
