"""Which file of the kernel each counter of a cgroup comes from, on v1 and v2; and what is shown of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import fields

from cmanager.cli.output import stats
from cmanager.cli.output.human import binary_size
from cmanager.cli.output.usage import described, summary
from cmanager.linux.cgroupfs import usage
from cmanager.linux.cgroups import Hierarchy
from cmanager.model import BlockIO, Container, HugePages, Pressure, Providers, RunRequest, Traffic, Usage
from cmanager.model.codec import from_data, to_data
from cmanager.supervisor.accounting import Accounts

_PRESSURE = (
    "some avg10=1.50 avg60=0.10 avg300=0.00 total=2500000\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=500000\n"
)
_UNIFIED = {
    "cpu.stat": (
        "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n"
        "nr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n"
    ),
    "memory.current": "1000000\n",
    "memory.peak": "2000000\n",
    "memory.max": "max\n",
    "memory.stat": "anon 300000\nfile 600000\ninactive_file 400000\n",
    "memory.events": "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n",
    "memory.swap.current": "5\n",
    "memory.swap.peak": "6\n",
    "memory.swap.max": "7\n",
    "pids.current": "3\n",
    "pids.peak": "9\n",
    "pids.max": "12\n",
    "pids.events": "max 8\n",
    "io.stat": "999:9 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n999:10 \n",
    "cpu.pressure": _PRESSURE,
    "memory.pressure": _PRESSURE,
    "io.pressure": _PRESSURE,
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.max": "4194304\n",
    "hugetlb.2MB.events": "max 1\n",
    "hugetlb.2MB.rsvd.current": "0\n",
}
_FIRST = {
    "cpuacct.usage": "1500000000\n",
    "cpuacct.stat": "user 100\nsystem 50\n",
    "cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 250000000\n",
    "memory.usage_in_bytes": "1000000\n",
    "memory.max_usage_in_bytes": "2000000\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.memsw.limit_in_bytes": "9223372036854771712\n",
    "memory.failcnt": "2\n",
    "memory.stat": "cache 1\ntotal_cache 600000\ntotal_rss 300000\ntotal_inactive_file 400000\ntotal_swap 5\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    "pids.current": "3\n",
    "pids.peak": "9\n",
    "pids.max": "12\n",
    "pids.events": "max 8\n",
    "blkio.throttle.io_service_bytes_recursive": "999:9 Read 1\n999:9 Write 2\n999:9 Total 3\nTotal 3\n",
    "blkio.throttle.io_serviced_recursive": "999:9 Read 3\n999:9 Write 4\n999:9 Total 7\nTotal 7\n",
    "hugetlb.2MB.usage_in_bytes": "2097152\n",
    "hugetlb.2MB.max_usage_in_bytes": "2097152\n",
    "hugetlb.2MB.limit_in_bytes": "4194304\n",
    "hugetlb.2MB.failcnt": "1\n",
}
_BOTH: dict[str, Any] = {
    "cpu_seconds": 1.5,
    "cpu_user_seconds": 1.0,
    "cpu_system_seconds": 0.5,
    "cpu_periods": 10,
    "cpu_throttled_periods": 4,
    "cpu_throttled_seconds": 0.25,
    "memory_bytes": 1000000,
    "memory_peak_bytes": 2000000,
    "memory_working_set_bytes": 600000,
    "memory_cache_bytes": 600000,
    "memory_anonymous_bytes": 300000,
    "memory_limit_bytes": -1,
    "memory_limit_hits": 2,
    "oom_kills": 4,
    "swap_bytes": 5,
    "pids": 3,
    "pids_peak": 9,
    "pids_limit": 12,
    "pids_limit_hits": 8,
    "block_io": (BlockIO("999:9", "", 1, 2, 3, 4),),
}
_WAITED = Pressure(1.5, 2.5, 0.25, 0.5)


def hierarchy(version: int, place: Path, files: dict[str, str], controllers: str) -> Hierarchy:
    (place / "c").mkdir(parents=True)
    for name, text in files.items():
        (place / "c" / name).write_text(text)
    return Hierarchy(version, str(place), tuple(controllers.split()))


def counted(*hierarchies: Hierarchy) -> Usage:
    return Usage(**usage.counters(hierarchies, "/c"))


def test_every_counter_of_v2(tmp_path: Path) -> None:
    found = counted(hierarchy(2, tmp_path / "u", _UNIFIED, "cpu io memory pids hugetlb"))
    assert found == Usage(
        **_BOTH,
        memory_high_hits=1,
        memory_ooms=3,
        swap_peak_bytes=6,
        swap_limit_bytes=7,
        hugetlb=(HugePages("2MB", 2097152, None, 4194304, 1),),
        cpu_pressure=_WAITED,
        memory_pressure=_WAITED,
        io_pressure=_WAITED,
    )


def test_every_counter_of_v1(tmp_path: Path) -> None:
    found = counted(hierarchy(1, tmp_path / "first", _FIRST, "cpu cpuacct memory pids blkio hugetlb"))
    assert found == Usage(**_BOTH, swap_limit_bytes=-1, hugetlb=(HugePages("2MB", 2097152, 2097152, 4194304, 1),))


def test_beside_v1_the_files_of_v2_tell_what_v1_has_not(tmp_path: Path) -> None:
    """And nothing else: there a runtime need not put the container into the cgroup of v2."""
    empty = {"cpu.stat": "usage_usec 0\nuser_usec 0\nsystem_usec 0\n", "cpu.pressure": _PRESSURE}
    second = hierarchy(2, tmp_path / "u", empty, "hugetlb")
    found = counted(second, hierarchy(1, tmp_path / "first", _FIRST, "cpu cpuacct memory pids blkio"))
    assert (found.cpu_seconds, found.cpu_user_seconds) == (1.5, 1.0)
    assert found.cpu_pressure == _WAITED
    without = hierarchy(1, tmp_path / "other", {"pids.current": "1\n"}, "pids")
    assert counted(second, without).cpu_seconds == 0


def test_limits_of_v1_and_what_of_them_is_swap(tmp_path: Path) -> None:
    files = {"memory.limit_in_bytes": "1000\n", "memory.memsw.limit_in_bytes": "1500\n"}
    found = counted(hierarchy(1, tmp_path / "first", files, "memory"))
    assert (found.memory_limit_bytes, found.swap_limit_bytes) == (1000, 500)


@pytest.mark.parametrize(("version", "files"), [(1, _FIRST), (2, _UNIFIED)], ids=["v1", "v2"])
def test_what_a_kernel_has_not_is_none_and_the_rest_stays(tmp_path: Path, version: int, files: dict[str, str]) -> None:
    names = "cpu cpuacct memory pids blkio hugetlb" if version == 1 else "cpu io memory pids hugetlb"
    all_of_them = to_data(counted(hierarchy(version, tmp_path / "all", files, names)))
    for number, gone in enumerate(name for name in files if ".rsvd" not in name):
        left = {name: text for name, text in files.items() if name != gone}
        found = to_data(counted(hierarchy(version, tmp_path / str(number), left, names)))
        changed = {name: value for name, value in found.items() if value != all_of_them[name]}
        kept = {"block_io", "hugetlb"}  # lists, which have fewer numbers or members then
        assert {name for name, value in changed.items() if value is not None} <= kept, gone
        assert changed, f"nothing is read from {gone}"


def test_no_cgroup_no_counter(tmp_path: Path) -> None:
    hierarchies = (Hierarchy(2, str(tmp_path), ("memory", "io", "hugetlb")), Hierarchy(1, str(tmp_path), ("blkio",)))
    assert usage.counters(hierarchies, "/gone") == {}
    assert usage.watched(hierarchies, "/gone") == ()


def test_v1_that_counts_no_device_says_so(tmp_path: Path) -> None:
    """Since Linux 6.10 it counts those that have a rule, or bfq: zero would be a lie."""
    empty = {"blkio.throttle.io_service_bytes_recursive": "Total 0\n"}
    place = hierarchy(1, tmp_path / "first", empty, "blkio")
    (tmp_path / "first/blkio.throttle.io_service_bytes_recursive").write_text("Total 0\n")
    assert counted(place).block_io is None
    (tmp_path / "first/blkio.throttle.io_service_bytes_recursive").write_text("8:0 Read 1\nTotal 1\n")
    assert counted(place).block_io == ()


def test_bfq_counts_where_throttling_does_not(tmp_path: Path) -> None:
    files = {
        "blkio.throttle.io_service_bytes_recursive": "999:9 Read 5\nTotal 5\n",
        "blkio.bfq.io_service_bytes_recursive": "999:9 Read 7\n999:8 Write 6\nTotal 13\n",
        "blkio.bfq.io_serviced_recursive": "999:8 Write 2\nTotal 2\n",
    }
    found = counted(hierarchy(1, tmp_path / "first", files, "blkio"))
    assert found.block_io == (BlockIO("999:9", "", 7, 0, 0, 0), BlockIO("999:8", "", 0, 6, 0, 2))


def test_usage_is_plain_data() -> None:
    found = Usage(cpu_seconds=1.0, block_io=(BlockIO("8:0", "sda", 1),), network=(Traffic("eth0", 5),))
    assert from_data(Usage, to_data(found)) == found
    # As a record of an earlier version has it, or a plugin that knows five counters.
    assert from_data(Usage, {"cpu_seconds": 1.0}) == Usage(cpu_seconds=1.0)


# -- what the supervisor tells -----------------------------------------------------------------------------------------


class Counting:
    """A limiter that counts what the test says, and tells of nothing by itself."""

    now = Usage()

    def usage(self, id: str) -> Usage:
        return self.now


def test_each_hit_is_told_once_with_how_often() -> None:
    told: list[tuple[str, str]] = []
    limiter = Counting()
    accounts = Accounts(limiter, "0" * 64, "", lambda action, **about: told.append((action, about["count"])))
    assert (accounts.fd, accounts.due) == (-1, None)
    limiter.now = Usage(pids_limit_hits=3, oom_kills=0)
    accounts.look()
    limiter.now = Usage(pids_limit_hits=5, oom_kills=1, memory_limit_hits=2)
    accounts.look()
    assert told == [("limit: pids", "3")], "there was news just now"
    assert accounts.last() == limiter.now
    assert told[1:] == [("limit: memory", "2"), ("limit: pids", "2"), ("oom", "1")]
    accounts.last()
    assert len(told) == 4
    accounts.close()


# -- what is shown -----------------------------------------------------------------------------------------------------


def container(name: str = "web", **labels: str) -> Container:
    providers = Providers("layers", "overlay", "bridge", "cgroup", "native")
    request = RunRequest("busybox", labels=labels)
    return Container(name.encode().hex().ljust(64, "0"), name, 0.0, request, "", "", ("sh",), providers)


def sample(at: float, found: Usage, name: str = "web", network: int = 0, **labels: str) -> stats.Sample:
    return stats.Sample(container(name, **labels), at, found, network)


def test_two_looks_make_a_percentage() -> None:
    found = stats.totals(sample(10, Usage(cpu_seconds=1.0)), sample(12, Usage(cpu_seconds=4.0)), 1 << 30)
    assert found.cpu_percent == 150
    assert stats.totals(None, sample(12, Usage(cpu_seconds=4.0)), 1 << 30).cpu_percent is None
    again = stats.totals(sample(10, Usage(cpu_seconds=9.0)), sample(12, Usage(cpu_seconds=4.0)), 1 << 30)
    assert again.cpu_percent == 0, "it was started again in between"


def test_a_row_is_dockers() -> None:
    used = Usage(
        cpu_seconds=1.0,
        memory_bytes=2 << 20,
        memory_working_set_bytes=3 << 19,
        memory_limit_bytes=64 << 20,
        pids=2,
        block_io=(BlockIO("8:0", "sda", 1500, 0), BlockIO("7:0", "loop0", 500, 4096)),
        network=(Traffic("eth0", 1200, sent_bytes=42),),
    )
    now = sample(2, used)
    row = stats.row(now, stats.totals(sample(1, Usage(cpu_seconds=0.5)), now, 1 << 30), "web", trunc=True)
    assert row == {
        "Container": "web",
        "ID": now.container.id[:12],
        "Name": "web",
        "CPUPerc": "50.00%",
        "MemUsage": "1.5MiB / 64MiB",
        "MemPerc": "2.34%",
        "NetIO": "1.2kB / 42B",
        "BlockIO": "2kB / 4.1kB",
        "PIDs": "2",
    }
    nothing = stats.row(sample(2, Usage()), stats.totals(None, sample(2, Usage()), 1 << 30), "web", trunc=True)
    assert [nothing[name] for name in stats.COLUMNS[2:]] == ["--", "-- / --", "--", "--", "--", "--"]


def test_sums_by_label_count_a_shared_network_once() -> None:
    memory, traffic = 1 << 30, (Traffic("eth0", 100, sent_bytes=10),)
    samples = [
        sample(1, Usage(memory_bytes=1000, memory_limit_bytes=-1, pids=1, network=traffic), "a", 5, tier="web"),
        sample(1, Usage(memory_bytes=2000, memory_limit_bytes=4000, pids=2, network=traffic), "b", 5, tier="web"),
        sample(1, Usage(pids=4, network=traffic), "c", 6, tier="db"),
        sample(1, Usage(pids=8), "d"),
    ]
    each = [stats.totals(None, one, memory) for one in samples]
    (database, web) = stats.by_label("tier", samples, each, memory)
    assert (database[0], len(database[1]), database[2].pids, database[2].received) == ("db", 1, 4, 100)
    assert (web[0], [s.container.name for s in web[1]]) == ("web", ["a", "b"])
    assert web[2] == stats.Totals(None, 3000, memory, 100, 10, None, None, 3)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (1577058, "1.504MiB"), (25276514304, "23.54GiB")],
)
def test_memory_is_shown_in_powers_of_1024(count: int, text: str) -> None:
    assert binary_size(count) == text


def test_inspect_and_the_summary_know_every_counter() -> None:
    found = described(Usage(oom_kills=1, io_pressure=_WAITED, block_io=(BlockIO("8:0"),)))
    assert len(found) == len(fields(Usage))
    assert (found["OOMKills"], found["IOPressure"]["SomeSeconds"]) == (1, 2.5)
    assert found["BlockIO"][0]["ReadBytes"] == 0
    text = summary(Usage(cpu_seconds=1.204, cpu_periods=9, cpu_throttled_periods=3, memory_peak_bytes=1 << 20))
    assert text == "1.20 s CPU, held back in 3 of 9 periods, 1MiB memory at most"
    assert summary(Usage()) == "nothing was counted"
