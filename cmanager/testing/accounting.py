"""What limiters promise of `usage`: the part of the limiter seam's suite that counts."""

from __future__ import annotations

import mmap
import os
import re
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ..linux import cgroups
from ..model import Limits
from ..seams import Limiter
from .cgroups import OnCgroups, burn, checked, end, hold, most_forks, spawn, told

_BURNING = 0.6  # seconds
_COUNTERS = (
    *("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds", "cpu_periods", "cpu_throttled_periods"),
    *("cpu_throttled_seconds", "memory_peak_bytes", "memory_limit_hits", "memory_high_hits", "memory_ooms"),
    *("oom_kills", "swap_peak_bytes", "pids_peak", "pids_limit_hits"),
)


class Accounting(OnCgroups):
    """Counters are true, never fall, and are None where there are none."""

    def test_processor_time_is_what_its_processes_took(self, provider: Limiter, id: str) -> None:
        hear, tell = os.pipe()
        pid = spawn(provider.create(id, Limits()).path, lambda: _burn_and_tell(tell))
        os.waitpid(pid, 0)
        took = float(os.read(hear, 64))
        for fd in (hear, tell):
            os.close(fd)
        usage = provider.usage(id)
        if usage.cpu_seconds is None:
            pytest.skip("this limiter counts no processor time")
        assert usage.cpu_seconds == pytest.approx(took, rel=0.05, abs=0.02)
        if usage.cpu_user_seconds is not None:
            parts = usage.cpu_user_seconds + (usage.cpu_system_seconds or 0)
            assert parts == pytest.approx(usage.cpu_seconds, rel=0.1, abs=0.03), "user and system are all of it"
            assert usage.cpu_user_seconds > usage.cpu_seconds / 2, "it computed in user mode"

    def test_no_counter_falls(self, provider: Limiter, id: str) -> None:
        """Neither while a process computes nor when others come and go."""
        path = provider.create(id, Limits()).path
        pid = spawn(path, burn)
        before = provider.usage(id)
        for _ in range(5):
            os.waitpid(spawn(path, lambda: _burn_for(0.05)), 0)
            now = provider.usage(id)
            fell = [name for name in _COUNTERS if (getattr(before, name) or 0) > (getattr(now, name) or 0)]
            assert fell == [], "a counter must not fall while the cgroup lives"
            before = now
        provider.remove(id)
        end(pid)

    def test_periods_in_which_it_had_to_wait_are_counted(self, provider: Limiter, id: str) -> None:
        pid = spawn(provider.create(id, checked(provider, Limits(cpus=0.05))).path, burn)
        began = time.monotonic()
        time.sleep(_BURNING)
        usage, took = provider.usage(id), time.monotonic() - began
        provider.remove(id)
        end(pid)
        if usage.cpu_periods is None:
            pytest.skip("this limiter counts no periods")
        assert usage.cpu_periods >= 3, "a period is a tenth of a second"
        assert 0 < (usage.cpu_throttled_periods or 0) <= usage.cpu_periods
        waited = usage.cpu_throttled_seconds
        assert waited is None or _BURNING / 4 < waited < took + 0.2, f"of {took} s it waited for most"

    def test_memory_that_is_touched_is_counted(self, provider: Limiter, id: str) -> None:
        size = 48 << 20
        hear, tell = os.pipe()
        pid = spawn(provider.create(id, Limits()).path, lambda: hold(size, tell))
        os.read(hear, 1)
        usage = provider.usage(id)
        end(pid)
        after = provider.usage(id)
        os.close(hear)
        os.close(tell)
        for name in ("memory_bytes", "memory_peak_bytes", "memory_working_set_bytes", "memory_anonymous_bytes"):
            value = getattr(usage, name)
            assert value is None or size * 0.98 <= value < size * 1.5, f"{name} after {size} bytes were touched"
        assert after.memory_bytes is None or after.memory_bytes < size / 2, "what is used ends with the process"
        assert (after.memory_peak_bytes or 0) >= (usage.memory_peak_bytes or 0), "the most that was used does not"

    def test_page_cache_is_told_apart(self, provider: Limiter, id: str, tmp_path: Path) -> None:
        size = 24 << 20
        path = provider.create(id, Limits()).path
        os.waitpid(spawn(path, lambda: (tmp_path / "file").write_bytes(bytes(size))), 0)
        usage = provider.usage(id)
        if usage.memory_cache_bytes is None or usage.memory_cache_bytes < size / 2:
            pytest.skip("page cache is not counted here, or files are not in it")
        assert (usage.memory_bytes or 0) >= usage.memory_cache_bytes
        assert (usage.memory_working_set_bytes or 0) < (usage.memory_bytes or 0) - size / 2, "it can be dropped"

    def test_what_is_written_to_a_device_is_counted(self, provider: Limiter, id: str, disk: str) -> None:
        size = 8 << 20
        # Cgroup v1 counts on every kernel what bfq schedules.
        with (
            suppress(OSError),
            Path("/sys/block", Path(disk).name, "queue/scheduler").open("w", encoding="ascii") as queue,
        ):
            queue.write("bfq")
        path = provider.create(id, Limits()).path
        assert told(path, lambda: _write_direct(disk, size)) == "ok"
        info = os.stat(disk)
        usage = provider.usage(id)
        device = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
        found = [block for block in usage.block_io or () if block.device == device]
        if not found and not _counts(path, device):
            pytest.skip("this kernel counts nothing for such a device")
        assert found, "the kernel counted, usage does not tell"
        assert (found[0].written_bytes, found[0].read_bytes) == (size, 0)
        assert found[0].name == os.path.basename(disk)
        assert found[0].writes > 0

    def test_processes_are_counted_at_most_and_refused(self, provider: Limiter, id: str) -> None:
        path = provider.create(id, checked(provider, Limits(pids=4))).path
        assert most_forks(path, 8) == 3
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


def _write_direct(device: str, size: int) -> str:
    """Write so much past the page cache."""
    with mmap.mmap(-1, size) as pages:  # aligned, as O_DIRECT wants it
        fd = os.open(device, os.O_WRONLY | os.O_DIRECT)
        written = os.write(fd, pages)
        os.close(fd)
    return "ok" if written == size else f"{written} bytes were written"


def _counts(path: str, device: str) -> bool:
    """Whether the kernel tells of bytes for a device, in whichever file (blkio-controller.rst, cgroup-v2.rst)."""
    names = ("io.stat", "blkio.throttle.io_service_bytes_recursive", "blkio.bfq.io_service_bytes_recursive")
    files = [Path(hierarchy.path(path), name) for hierarchy in cgroups.hierarchies() for name in names]
    text = "\n".join(file.read_text(encoding="ascii") for file in files if file.exists())
    return any(line.startswith(f"{device} ") and re.search(r"[1-9]\d{3}", line) for line in text.splitlines())


def _burn_and_tell(fd: int) -> None:
    """How many seconds of processor time it took since it was in the cgroup."""
    before = time.process_time()
    _burn_for(_BURNING)
    os.write(fd, b"%.6f" % (time.process_time() - before))


def _burn_for(seconds: float) -> None:
    """Take so much processor time."""
    while time.process_time() < seconds:
        sum(range(1000))
