"""Limits and priorities on disks: direct reads and writes of a loop device, timed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmanager.linux import cgroups

from ..disks import chosen, disk
from ..support import Cli, wait_until
from .test_limits import cgroup

pytestmark = pytest.mark.root


@pytest.fixture
def node(tmp_path: Path) -> Iterator[str]:
    """A disk of 64 MiB whose I/O scheduler honours no weights."""
    with disk(tmp_path, scheduler="none") as found:
        yield found


def speed(cli: Cli, node: str, *options: str, way: str, kilobytes: int, count: int) -> float:
    """Pieces a second of a direct read or write in a container."""
    files = "if=/dev/disk of=/dev/null iflag=direct" if way == "read" else "if=/dev/zero of=/dev/disk oflag=direct"
    dd = f"dd {files} bs={kilobytes}k count={count}"
    # Timed by the program itself, and after a first round: at its start it has a fraction of a second to its credit.
    script = f"{dd} 2>/dev/null; read a b < /proc/uptime; {dd} && read c d < /proc/uptime && echo $a $c"
    device = ("--device", f"{node}:/dev/disk")
    done = cli("run", "--rm", "--network", "none", *device, *options, "busybox", "sh", "-c", script)
    assert f"{count}+0 records out" in done.stderr, done.stderr
    began, ended = map(float, done.stdout.split())
    return count / (ended - began)


@pytest.mark.parametrize("way", [pytest.param("read", marks=pytest.mark.slow), "write"])
def test_bytes_a_second_are_what_was_asked_for(cli: Cli, node: str, way: str) -> None:
    limit = (f"--device-{way}-bps", f"{node}:10mb")
    assert 9 <= speed(cli, node, *limit, way=way, kilobytes=1024, count=10) <= 11


@pytest.mark.slow
@pytest.mark.parametrize("way", ["read", "write"])
def test_operations_a_second_are_what_was_asked_for(cli: Cli, node: str, way: str) -> None:
    limit = (f"--device-{way}-iops", f"{node}:100")
    assert 90 <= speed(cli, node, *limit, way=way, kilobytes=4, count=100) <= 110


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("way", ["read", "write"])
def test_thirty_megabytes_a_second(cli: Cli, node: str, way: str) -> None:
    limit = (f"--device-{way}-bps", f"{node}:30mb")
    assert 27 <= speed(cli, node, *limit, way=way, kilobytes=1024, count=60) <= 33


@pytest.mark.slow
def test_one_that_runs_is_slowed_down_and_let_go(cli: Cli, node: str) -> None:
    loop = "while :; do dd if=/dev/disk of=/dev/null iflag=direct bs=64k count=16 2>/dev/null; echo -n x >> /n; done"
    cli.ok("run", "-d", "--name", "reader", "--device", f"{node}:/dev/disk", "busybox", "sh", "-c", loop)

    def pace(seconds: float) -> float:
        """Mebibytes a second."""
        before, began = rounds(cli, "reader"), time.monotonic()
        time.sleep(seconds)
        return (rounds(cli, "reader") - before) / (time.monotonic() - began)

    wait_until(lambda: rounds(cli, "reader"), "it reads")
    free = pace(0.5)
    cli.ok("update", "--device-read-bps", f"{node}:4mb", "reader")
    slow = pace(1.5)
    cli.ok("update", "--device-read-bps", f"{node}:0", "reader")
    assert slow < 8 < min(free, pace(0.5)), (free, slow)
    rates = cli.inspect("reader")["HostConfig"]["BlkioDeviceReadBps"]
    assert rates == [{"Path": node, "Rate": 0}]


@pytest.mark.slow
@pytest.mark.alone
def test_the_heavier_gets_more_of_a_disk(cli: Cli, tmp_path: Path) -> None:
    with disk(tmp_path, 256, scheduler="bfq") as node:
        cli("run", "--rm", "--device", f"{node}:/dev/disk", "busybox", "dd", "if=/dev/disk", "of=/dev/null", "bs=1M")
        # Pairs in the order A B B A, so that what changes with time does not count.
        equal_1, more_1 = share(cli, node, "100"), share(cli, node, "800")
        more_2, equal_2 = share(cli, node, "800"), share(cli, node, "100")
    assert min(more_1, more_2) > max(equal_1, equal_2), (equal_1, more_1, more_2, equal_2)


def share(cli: Cli, node: str, weight: str) -> float:
    """What the first of two readers gets, the second with weight 100."""
    dd = "dd if=/dev/disk of=/dev/null iflag=direct bs=256k count=500 skip=%d 2>/dev/null"
    for name, given, skip in (("one", weight, 0), ("two", "100", 500)):
        options = ("--blkio-weight-device", f"{node}:{given}", "--device", f"{node}:/dev/disk")
        cli.ok("run", "-d", "--name", name, *options, "busybox", "sh", "-c", f"while :; do {dd % skip}; done")
    first = [bytes_read(cli, name, node) for name in ("one", "two")]
    time.sleep(4)
    one, two = (bytes_read(cli, name, node) - before for name, before in zip(("one", "two"), first, strict=True))
    cli.ok("rm", "-f", "one", "two")
    return one / (one + two)


def bytes_read(cli: Cli, name: str, node: str) -> int:
    """As the kernel counts them in the container's cgroup."""
    number = os.stat(node).st_rdev
    disk_is = f"{os.major(number)}:{os.minor(number)}"
    blkio = next(h for h in cgroups.hierarchies() if {"blkio", "io"} & set(h.controllers))
    directory = Path(blkio.path(cgroup(cli, name)))
    if blkio.version == 1:
        lines = (directory / "blkio.throttle.io_service_bytes").read_text().splitlines()
        return next((int(line.split()[2]) for line in lines if line.startswith(f"{disk_is} Read")), 0)
    lines = (directory / "io.stat").read_text().splitlines()
    words = next((line.split() for line in lines if line.startswith(f"{disk_is} ")), [])
    return next((int(word.partition("=")[2]) for word in words if word.startswith("rbytes=")), 0)


def rounds(cli: Cli, name: str) -> int:
    """How often it has read what it reads again and again."""
    return int((cli("exec", name, "wc", "-c", "/n").stdout or "0").split()[0])


def test_a_weight_that_the_scheduler_ignores_is_refused_naming_it(cli: Cli, node: str) -> None:
    done = cli("run", "--name", "w", "--blkio-weight-device", f"{node}:300", "busybox", "true")
    assert done.returncode == 125
    assert f"{node}: its I/O scheduler 'none' honours no weights" in done.stderr
    assert "w" not in cli.names()
    if all(chosen(f"/dev/{place.name}") != "bfq" for place in Path("/sys/block").iterdir() if used(place)):
        done = cli("run", "--blkio-weight", "300", "busybox", "true")
        assert done.returncode == 125
        assert f"{Path(node).name} has none" in done.stderr


def used(place: Path) -> bool:
    return (place / "queue/scheduler").exists() and (place / "size").read_text() != "0\n"


def test_a_weight_is_accepted_where_the_scheduler_honours_it(cli: Cli, tmp_path: Path) -> None:
    with disk(tmp_path, scheduler="bfq") as node:
        cli.ok("run", "-d", "--name", "w", "--blkio-weight-device", f"{node}:300", "busybox", "sleep", "1000")
        cli.ok("update", "--blkio-weight-device", f"{node}:400", "--blkio-weight", "500", "w")
        host = cli.inspect("w")["HostConfig"]
        cli.ok("rm", "-f", "w")
    assert (host["BlkioWeight"], host["BlkioWeightDevice"]) == (500, [{"Path": node, "Weight": 400}])


@pytest.mark.parametrize("value", ["/dev/null:1mb", "/dev/no-such:1mb", "sda:1mb", "/dev/loop0:fast", "/dev/loop0"])
def test_what_is_no_disk_or_no_speed_is_refused(cli: Cli, value: str) -> None:
    done = cli("run", "--device-write-bps", value, "busybox", "true")
    assert done.returncode == 125
    assert value.partition(":")[0] in done.stderr
    assert done.stderr.count("\n") == 1
