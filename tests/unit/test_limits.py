"""Limits as values: what is asked for, what changes, what a limiter is told, and how it is undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from cmanager.cli import limits as words
from cmanager.engine.limiting import fit
from cmanager.errors import InvalidError, UnsupportedError
from cmanager.linux.cgroupfs import files
from cmanager.model import DeviceLimit, DeviceRule, HugetlbLimit, Limits, Rate
from cmanager.model.limits import FIRST, check_ranges, laid_over
from cmanager_cgroup import tables, v1, v2

_FIELDS = tuple(field.name for field in attrs.fields(Limits))


class Old:
    """A limiter of the first days: it looks at the fields that it knows."""

    def check(self, limits: Limits) -> None:
        check_ranges(limits)
        if limits.cpu_shares is not None:
            raise UnsupportedError("--cpu-shares needs the cgroup controller 'cpu', which this host lacks")


class New(Old):
    """One that knows more."""

    limits = (*FIRST, "blkio_weight", "memory_swap")


def test_a_limiter_never_sees_a_limit_that_it_does_not_announce() -> None:
    for name in _FIELDS:
        value: Any = {"hugetlb": (HugetlbLimit("2MB", 1),), "parent": "/web"}.get(name, (DeviceLimit("/dev/x", 10),))
        if name in FIRST:
            continue
        with pytest.raises(UnsupportedError, match="limiter old cannot honour --"):
            fit(Old(), "old", Limits(**{name: value}))
    assert fit(New(), "new", Limits(blkio_weight=20)) == (Limits(blkio_weight=20), ())


def test_lax_leaves_out_what_is_not_known_and_what_belongs_to_it() -> None:
    asked = Limits(memory=64 << 20, cpu_shares=512, blkio_weight=20, oom_kill_disable=True)
    kept, warnings = fit(New(), "new", asked, lax=True)
    assert kept == Limits(memory=64 << 20, blkio_weight=20)
    assert [warning.partition(": ")[2].split()[0] for warning in warnings] == ["--cpu-shares", "limiter"]
    assert fit(New(), "new", Limits(pids=5), lax=True) == (Limits(pids=5), ())


def test_lax_is_no_excuse_for_nonsense_nor_for_devices() -> None:
    with pytest.raises(InvalidError):
        fit(New(), "new", Limits(memory=1, cpu_shares=512), lax=True)
    with pytest.raises(UnsupportedError):
        fit(Old(), "old", Limits(parent="/web"), lax=True)


def test_what_means_something_together_is_told_together() -> None:
    before = Limits(memory=200, memory_swap=300, cpus=0.5, cpu_burst=10, pids=5)
    after, told = laid_over(before, Limits(memory_swap=400))
    assert after == attrs.evolve(before, memory_swap=400)
    assert told == Limits(memory=200, memory_swap=400)
    assert laid_over(before, Limits(cpus=0.7))[1] == Limits(cpus=0.7, cpu_burst=10)
    assert laid_over(before, Limits(pids=6))[1] == Limits(pids=6)


def test_of_two_spellings_of_one_limit_the_last_is_kept() -> None:
    quota = Limits(cpu_period=50_000, cpu_quota=25_000, cpu_burst=10)
    assert laid_over(quota, Limits(cpus=0.7)) == (Limits(cpus=0.7, cpu_burst=10), Limits(cpus=0.7, cpu_burst=10))
    assert laid_over(Limits(cpus=0.5), Limits(cpu_quota=20_000))[0] == Limits(cpu_period=100_000, cpu_quota=20_000)
    assert laid_over(Limits(cpus=0.5), Limits(cpu_quota=-1))[0] == Limits(cpu_period=100_000, cpu_quota=-1)
    assert laid_over(Limits(cpus=0.5), Limits(cpu_period=50_000))[0] == Limits(cpu_period=50_000, cpu_quota=50_000)


def test_lists_change_by_what_they_are_about() -> None:
    before = Limits(
        device_read_bps=(DeviceLimit("/dev/a", 1), DeviceLimit("/dev/b", 2)),
        hugetlb=(HugetlbLimit("2MB", 1),),
        devices=(DeviceRule(False),),
    )
    after, told = laid_over(before, Limits(device_read_bps=(DeviceLimit("/dev/b", 3),), devices=(DeviceRule(True),)))
    assert after.device_read_bps == (DeviceLimit("/dev/a", 1), DeviceLimit("/dev/b", 3))
    assert told.device_read_bps == (DeviceLimit("/dev/b", 3),)
    assert after.devices == told.devices == (DeviceRule(False), DeviceRule(True))
    assert after.hugetlb == before.hugetlb


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("", Rate()),
        ("8mbit", Rate(1_000_000, 1_000_000)),
        ("1.5kbit", Rate(187, 187)),
        ("1m", Rate(1 << 20, 1 << 20)),
        ("receive=1m,send=0", Rate(1 << 20, 0)),
        ("send=800bit", Rate(0, 100)),
        ("7bit", Rate(1, 1)),
        ("0bit", Rate(0, 0)),
    ],
)
def test_a_rate_is_in_bits_or_in_bytes(text: str, rate: Rate) -> None:
    assert Rate(**words.rate(text)) == rate


@pytest.mark.parametrize("text", ["fast", "receive", "up=1m", "send=1m,send=2m", "-1mbit", "1mbits"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="--network-rate"):
        words.rate(text)


@pytest.mark.parametrize(
    ("name", "before", "value", "undo"),
    [
        ("pids.max", "max\n", "7", "max"),
        ("cpuset.cpus", "\n", "0", "\n"),
        (
            "io.max",
            "7:0 rbps=1 wbps=max riops=max wiops=max\n",
            "7:0 wbps=2",
            "7:0 rbps=1 wbps=max riops=max wiops=max",
        ),
        ("io.max", "", "7:0 wbps=2", "7:0 rbps=max wbps=max riops=max wiops=max"),
        ("blkio.throttle.read_bps_device", "7:1 5\n7:0 9\n", "7:0 8", "7:0 9"),
        ("blkio.throttle.read_bps_device", "7:10 5\n", "7:1 8", "7:1 0"),
        ("blkio.bfq.weight_device", "default 300\n", "7:0 400", "7:0 default"),
        ("io.bfq.weight", "default 100\n7:0 200\n", "300", "default 100"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "1", "0"),
    ],
)
def test_what_was_in_a_file_can_be_written_back(tmp_path: Path, name: str, before: str, value: str, undo: str) -> None:
    (tmp_path / name).write_text(before)
    assert files.previous(str(tmp_path / name), value) == undo


@pytest.mark.parametrize("table", [v1.TABLE, v2.TABLE], ids=["v1", "v2"])
def test_every_row_is_about_a_limit_and_names_its_document(table: tuple[tables.Row, ...]) -> None:
    for row in table:
        assert row.limit in _FIELDS
        assert ".rst" in row.document
        assert all("." in name for name in row.names)


def test_every_limit_has_a_row_on_v1_and_those_of_v2_are_among_them() -> None:
    elsewhere = {"cpus", "devices", "parent"}  # a quota, a list of its own, a place
    assert {row.limit for row in v1.TABLE} == set(_FIELDS) - elsewhere
    assert {row.limit for row in v1.TABLE} - {row.limit for row in v2.TABLE} == {
        "memory_swappiness",
        "oom_kill_disable",
    }


def written(directory: Path, module: Any, limits: Limits, **now: str) -> list[tuple[str, str]]:
    """(file name, value) where these files have this content now; a _ in a name stands for a dot."""
    for name, text in now.items():
        (directory / name.replace("__", ".")).write_text(text)
    found = module.writes(str(directory), tables.settled(limits), ("memory", "cpu"))
    return [(Path(file).name, value) for file, value in found]


@pytest.mark.parametrize(("now", "first"), [("50", "memory.memsw.limit_in_bytes"), ("500", "memory.limit_in_bytes")])
def test_memory_is_never_above_memory_and_swap(tmp_path: Path, now: str, first: str) -> None:
    found = written(
        tmp_path,
        v1,
        Limits(memory=100, memory_swap=150),
        memory__limit_in_bytes="40",
        memory__memsw__limit_in_bytes=now,
    )
    assert found[0][0] == first
    assert sorted(found) == [("memory.limit_in_bytes", "100"), ("memory.memsw.limit_in_bytes", "150")]


def test_swap_is_what_is_above_memory_on_v2(tmp_path: Path) -> None:
    now = {"memory__max": "max", "memory__swap__max": "max"}
    assert written(tmp_path, v2, Limits(memory=100), **now) == [("memory.max", "100"), ("memory.swap.max", "100")]
    assert written(tmp_path, v2, Limits(memory=100, memory_swap=130), **now)[1] == ("memory.swap.max", "30")
    assert written(tmp_path, v2, Limits(memory=100, memory_swap=-1), **now)[1] == ("memory.swap.max", "max")
    (tmp_path / "memory.swap.max").unlink()
    assert written(tmp_path, v2, Limits(memory=100)) == [("memory.max", "100")]


def test_what_is_saved_up_is_never_above_the_quota(tmp_path: Path) -> None:
    limits = Limits(cpus=0.1, cpu_burst=5000)
    now = {"cpu__max": "50000 100000", "cpu__max__burst": "20000"}
    assert written(tmp_path, v2, limits, **now) == [
        ("cpu.max.burst", "0"),
        ("cpu.max", "10000 100000"),
        ("cpu.max.burst", "5000"),
    ]
    now = {"cpu__cfs_period_us": "100000", "cpu__cfs_quota_us": "50000", "cpu__cfs_burst_us": "0"}
    assert [name for name, _ in written(tmp_path, v1, limits, **now)] == [
        "cpu.cfs_period_us",
        "cpu.cfs_quota_us",
        "cpu.cfs_burst_us",
    ]


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (512, 20), (1024, 39), (2048, 79), (262144, 10000)])
def test_shares_are_weights_as_in_oci(shares: int, weight: int) -> None:
    assert v2.weight(shares) == weight


def test_disk_weights_are_weights_as_in_oci() -> None:
    assert [v2.io_weight(weight, Limits()) for weight in (10, 1000)] == ["1", "10000"]
