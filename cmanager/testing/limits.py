"""The conformance suite of limiters that know more limits than all do (`cmanager.seams.Cover`).

    class TestMine(CoverSuite):
        provider = "mine"

Each limit that it announces is tried by its effect; one that `check` refuses as unsupported on this host is skipped
with the reason. Disks are files behind loop devices (losetup(8)).
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import fields

from ..errors import CmanagerError, InvalidError, NotFoundError, UnsupportedError
from ..linux import cgroups
from ..model import DeviceLimit, DeviceRule, HugetlbLimit, Limits
from ..model.limits import FIRST
from ..seams import Cover, Limiter
from .cgroups import OnCgroups, burn, checked, end, hold, most_forks, opens, spawn, told, use

_FIELDS = tuple(field.name for field in fields(Limits))
_PAGE = 2 << 20
_MIB = 1 << 20


class CoverSuite(OnCgroups):
    """Every promise of `cmanager.seams.Cover`, checked, for each limit that is announced."""

    ability = Cover

    @pytest.fixture
    def huge_pages(self) -> Iterator[None]:
        """Two of 2 MiB that are free (hugetlbpage.rst)."""
        free = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
        if not free.exists():
            pytest.skip("this kernel has no huge pages of 2 MiB")
        before = free.read_text(encoding="ascii")
        free.write_text(str(int(before) + 2), encoding="ascii")
        try:
            if int(free.read_text(encoding="ascii")) < int(before) + 2:
                pytest.skip("no two huge pages can be had here")
            yield
        finally:
            free.write_text(before, encoding="ascii")

    def test_it_says_which_limits_it_knows(self, provider: Cover) -> None:
        """Fields of `Limits`, and at least those that every limiter knows."""
        assert isinstance(provider, Cover), "cmanager.seams.Cover.limits is missing"
        assert set(FIRST) <= set(provider.limits) <= set(_FIELDS)

    @pytest.mark.parametrize(
        "limits",
        [
            Limits(memory_swap=64 * _MIB),
            Limits(memory=64 * _MIB, memory_swap=32 * _MIB),
            Limits(memory=64 * _MIB, memory_reservation=128 * _MIB),
            Limits(memory_swappiness=101),
            Limits(cpus=0.5, cpu_quota=50_000),
            Limits(cpu_period=999),
            Limits(cpu_quota=999),
            Limits(cpu_burst=1000),
            Limits(cpuset_mems="4000"),
            Limits(blkio_weight=9),
            Limits(device_read_bps=(DeviceLimit("/dev/null", 1000),)),
            Limits(parent="/web/../../x"),
        ],
        ids=lambda limits: "-".join(limits.given()),
    )
    def test_values_that_cannot_be_are_refused(self, provider: Limiter, limits: Limits) -> None:
        """What is out of its range, contradicts another limit, or names what is no disk."""
        _known(provider, *limits.given())
        with pytest.raises(CmanagerError) as raised:
            provider.check(limits)
        assert isinstance(raised.value, InvalidError | UnsupportedError)

    def test_memory_is_bounded_whichever_way_it_changes(self, provider: Limiter, id: str) -> None:
        """Raised and lowered, with swap bounded too; each bound holds at once."""
        small = checked(provider, _known(provider, "memory_swap", memory=32 * _MIB, memory_swap=32 * _MIB))
        path = provider.create(id, small).path
        for limits in (small, Limits(memory=160 * _MIB, memory_swap=160 * _MIB), small):
            provider.update(id, limits)
            status = os.waitpid(spawn(path, lambda: use(96 * _MIB)), 0)[1]
            assert os.WIFSIGNALED(status) == (limits == small), f"96 MiB with {limits.memory} bytes allowed"
            assert provider.usage(id).swap_limit_bytes in (0, None), "no swap beside the memory was allowed"

    def test_a_quota_bounds_the_processor(self, provider: Limiter, id: str) -> None:
        """20 ms in each half of a second; the kernel's own periods are a tenth."""
        limits = checked(provider, _known(provider, "cpu_period", "cpu_quota", cpu_period=500_000, cpu_quota=20_000))
        pid = spawn(provider.create(id, limits).path, burn)
        time.sleep(0.6)
        used = provider.usage(id).cpu_seconds
        provider.remove(id)
        end(pid)
        assert used is None or used < 0.09, f"{used} s of 0.6, where 0.02 of each 0.5 were allowed"

    def test_only_the_given_memory_nodes(self, provider: Limiter, id: str) -> None:
        """What cpuset(7) shows to a process."""
        path = provider.create(id, checked(provider, _known(provider, "cpuset_mems", cpuset_mems="0"))).path

        def nodes() -> str:
            status = Path("/proc/self/status").read_text(encoding="ascii")
            return next(line.split()[1] for line in status.splitlines() if line.startswith("Mems_allowed_list"))

        assert told(path, nodes) == "0"

    @pytest.mark.parametrize("name", ["device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops"])
    def test_a_disk_is_as_slow_as_asked_for_and_fast_again(
        self, provider: Limiter, id: str, disk: str, name: str
    ) -> None:
        """Direct I/O (open(2)) of a mebibyte in pieces of 64 KiB, which takes half a second; 0 lifts the limit."""
        speed = DeviceLimit(disk, 32 if name.endswith("iops") else 2 * _MIB)
        path = provider.create(id, checked(provider, _known(provider, name, **{name: (speed,)}))).path
        seconds = float(told(path, lambda: _direct(disk, "write" in name)))
        assert 0.35 <= seconds <= 1, f"{seconds} s, where half a second is right"
        provider.update(id, _known(provider, name, **{name: (DeviceLimit(disk, 0),)}))
        assert float(told(path, lambda: _direct(disk, "write" in name))) < 0.35, "a limit of 0 is none"

    def test_a_weight_is_honoured_or_refused(self, provider: Limiter, id: str, disk: str) -> None:
        """Where the disk's I/O scheduler honours none, the refusal names it."""
        limits = _known(provider, "blkio_weight_device", blkio_weight_device=(DeviceLimit(disk, 300),))
        queue = Path("/sys/block", Path(disk).name, "queue/scheduler")
        queue.write_text("none", encoding="ascii")
        with pytest.raises(UnsupportedError, match="none"):
            provider.check(limits)
        try:
            queue.write_text("bfq", encoding="ascii")
        except OSError:
            pytest.skip("this kernel has no I/O scheduler that honours weights")
        provider.check(limits)
        provider.create(id, limits)
        provider.update(id, Limits(blkio_weight_device=(DeviceLimit(disk, 400),)))
        queue.write_text("none", encoding="ascii")

    def test_no_more_huge_pages_than_allowed(self, provider: Limiter, id: str, huge_pages: None) -> None:
        limits = checked(provider, _known(provider, "hugetlb", hugetlb=(HugetlbLimit("2MB", _PAGE),)))
        path = provider.create(id, limits).path
        assert (told(path, lambda: _huge(1)), told(path, lambda: _huge(2))) == ("mapped", "refused")

    def test_another_device_is_allowed_and_the_rest_stays(self, provider: Limiter, id: str) -> None:
        """`update` is told the whole list; there is no moment without what both have, nor one with what neither has."""
        first = (DeviceRule(False), DeviceRule(True, "c", 1, 3, "rwm"))
        more = (*first, DeviceRule(True, "c", 1, 5, "r"))
        path = provider.create(id, checked(provider, Limits(devices=first))).path
        wrong, tell = os.pipe()
        pid = spawn(path, lambda: _watch(tell))
        os.close(tell)
        for _ in range(40):
            provider.update(id, Limits(devices=more))
            provider.update(id, Limits(devices=first))
        assert told(path, lambda: opens("zero r")) == "EPERM", "what is not in the list any more is denied"
        provider.update(id, Limits(devices=more))
        assert told(path, lambda: f"{opens('zero r')} {opens('zero w')} {opens('null w')}") == "ok EPERM ok"
        provider.remove(id)
        end(pid)
        with os.fdopen(wrong) as file:
            assert file.read() == "", "for a moment the list was another"

    def test_it_lies_below_the_parent_that_was_named(self, provider: Limiter, container: Callable[[], str]) -> None:
        """What was made of it goes with the last container in it."""
        one, two = container(), container()
        parent = f"/cmanager-cover-{one[:8]}"
        limits = checked(provider, _known(provider, "parent", parent=f"{parent}/inner"))
        assert provider.create(one, limits).path == f"{parent}/inner/{one}"
        assert provider.create(two, Limits(parent=parent)).path == f"{parent}/{two}"
        assert {one, two} <= provider.owned(), "owned must tell of every container that has a cgroup"
        provider.update(one, Limits(pids=4))
        assert most_forks(f"{parent}/inner/{one}", 8) == 3, "a limit must hold there too"
        provider.freeze(one, True)
        provider.remove(one)
        assert one not in provider.owned()
        assert (_there(f"{parent}/inner"), _there(parent)) == (False, True)
        with pytest.raises(NotFoundError):
            provider.update(one, Limits(pids=4))
        provider.remove(two)
        assert not _there(parent), "what was made for containers must go with the last"

    @pytest.mark.parametrize("refused", ["memory", "hugetlb"])
    def test_all_or_nothing_is_changed(self, provider: Limiter, id: str, huge_pages: None, refused: str) -> None:
        """Where the kernel refuses one limit, as more of it is in use, all have their old values again."""
        most, small = 128 * _MIB, 8 * _MIB
        old = Limits(pids=4, memory=most, memory_swap=most, hugetlb=(HugetlbLimit("2MB", 2 * _PAGE),))
        path = provider.create(id, checked(provider, _known(provider, *old.given(), **old.given()))).path
        use_it = (lambda tell: hold(64 * _MIB, tell)) if refused == "memory" else _hold_huge
        wanted = (
            Limits(pids=20, memory=small, memory_swap=small, hugetlb=(HugetlbLimit("2MB", 8 * _PAGE),))
            if refused == "memory"
            else Limits(pids=20, memory=2 * most, memory_swap=2 * most, hugetlb=(HugetlbLimit("2MB", _PAGE),))
        )
        used, tell = os.pipe()
        pid = spawn(path, lambda: use_it(tell))
        os.close(tell)
        with os.fdopen(used) as file:
            file.read(1)
        try:
            provider.update(id, wanted)
            pytest.skip(f"this kernel lowers a limit of {refused} below what is used")  # v2, memory: it kills
        except CmanagerError:
            usage = provider.usage(id)
            assert most_forks(path, 8) == 2, "4 processes with the one that uses it and the one that forks"
            assert usage.memory_limit_bytes in (most, None)
            assert [pages.limit_bytes for pages in usage.hugetlb or () if pages.size == "2MB"] in ([], [2 * _PAGE])
        finally:
            provider.remove(id)
            end(pid)


def _known(provider: Limiter, *names: str, **limits: object) -> Limits:
    """These limits; skips what the provider does not announce, which the core refuses for it."""
    assert isinstance(provider, Cover)
    unknown = [name for name in names if name not in provider.limits]
    if unknown:
        pytest.skip(f"it does not announce {', '.join(unknown)}")
    return Limits(**limits)  # type: ignore[arg-type]


def _there(path: str) -> bool:
    return any(os.path.exists(hierarchy.path(path)) for hierarchy in cgroups.hierarchies())


def _direct(disk: str, write: bool) -> str:
    """The seconds that 16 pieces of 64 KiB take; direct I/O wants aligned memory, which a mapping is."""
    fd = os.open(disk, (os.O_WRONLY if write else os.O_RDONLY) | os.O_DIRECT)
    piece = mmap.mmap(-1, 1 << 16)
    began = time.monotonic()
    for _ in range(16):
        if write:
            os.write(fd, piece)
        else:
            os.readv(fd, [piece])
    return str(time.monotonic() - began)


def _map_huge(count: int) -> mmap.mmap:
    map_hugetlb = 0x40000
    pages = mmap.mmap(-1, count * _PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | map_hugetlb)
    for page in range(count):
        pages[page * _PAGE] = 1
    return pages


def _huge(count: int) -> str:
    try:
        _map_huge(count).close()
    except OSError:
        return "refused"
    return "mapped"


def _hold_huge(tell: int) -> None:
    kept = _map_huge(2)
    os.write(tell, b"1")
    signal.pause()
    kept.close()


def _watch(tell: int) -> None:
    """Open /dev/null again and again, and what is in no list, and tell of each time that it went wrong."""
    while True:
        for what, right in (("null w", "ok"), ("full r", "EPERM")):
            if (how := opens(what)) != right:
                os.write(tell, f"{what}: {how}\n".encode())
