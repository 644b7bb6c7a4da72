"""Limits as they are asked for: Docker's words, what contradicts itself, what this host cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmanager.linux import cgroups

from ..disks import disk
from ..support import Cli

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-m", "5m"], "the least is 6m"),
        (["--memory-swap", "100m"], "give --memory too"),
        (["-m", "100m", "--memory-swap", "50m"], "must not be below --memory"),
        (["-m", "100m", "--memory-reservation", "200m"], "must not be above --memory"),
        (["--memory-swappiness", "101"], "expected 0 to 100"),
        (["--cpus", "0.5", "--cpu-quota", "50000"], "give one of them"),
        (["--cpus", "0.5", "--cpu-period", "50000"], "give one of them"),
        (["--cpu-period", "999"], "expected 1000 to 1000000"),
        (["--cpu-quota", "999"], "expected -1 or at least 1000"),
        (["--cpu-burst", "1000"], "give --cpus or --cpu-quota too"),
        (["--cpus", "0.5", "--cpu-burst", "60000"], "expected 0 to 50000"),
        (["--cpuset-mems", "4000"], "no memory node 4000"),
        (["--cpuset-mems", "x"], "--cpuset-mems"),
        (["--blkio-weight", "9"], "expected 10 to 1000"),
        (["--device-read-iops", "/dev/loop0:1k"], "not a number"),
        (["--device-cgroup-rule", "c 1:3"], "expected a rule such as"),
        (["--device-cgroup-rule", "a 1:3 rwm"], "give 'a *:* rwm'"),
        (["--hugetlb", "64m"], "expected SIZE:BYTES"),
        (["--network-rate", "fast"], "--network-rate"),
        (["--network-rate", "up=1m"], "receive=RATE,send=RATE"),
        (["--network-rate", "1m", "--network", "none"], "network none bounds no rates"),
        (["--network-rate", "1m", "--network", "host"], "network host bounds no rates"),
        (["--kernel-memory", "8m"], "the kernel has no such limit any more"),
        (["--cgroup-parent", "../../x"], "--cgroup-parent"),
        (["--cgroup-parent", "/web/../../x"], "--cgroup-parent"),
        (["--cgroup-parent", "/"], "--cgroup-parent"),
        (["--cgroup-parent", f"/cmanager/{'a' * 64}"], "no container's"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_in_one_line(cli: Cli, options: list[str], said: str) -> None:
    done = cli("run", "--name", "refused", *options, "busybox", "true")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1), done.stderr
    assert said in done.stderr
    assert "refused" not in cli.names()


def test_inspect_says_it_in_dockers_words(cli: Cli, tmp_path: Path) -> None:
    with disk(tmp_path) as node:
        options = [
            *("-m", "100m", "--memory-swap", "-1", "--memory-reservation", "50m"),
            *("--cpu-period", "50000", "--cpu-quota", "25000", "--cpu-burst", "1000", "--cpuset-mems", "0"),
            *("--device-read-bps", f"{node}:1mb", "--device-write-bps", f"{node}:2mb"),
            *("--device-read-iops", f"{node}:3", "--device-write-iops", f"{node}:4"),
            *("--device-cgroup-rule", "c 42:* mr", "--cgroup-parent", "cmanager-words", "--network-rate", "8mbit"),
        ]
        cli.ok("create", "--name", "all", "--limits", "lax", *options, "busybox", "true")
    found = cli.inspect("all")["HostConfig"]
    expected = {
        "Memory": 100 << 20,
        "MemorySwap": -1,
        "MemoryReservation": 50 << 20,
        "CpuPeriod": 50000,
        "CpuQuota": 25000,
        "CpuBurst": 1000,
        "CpusetMems": "0",
        "BlkioDeviceReadBps": [{"Path": node, "Rate": 1 << 20}],
        "BlkioDeviceWriteBps": [{"Path": node, "Rate": 2 << 20}],
        "BlkioDeviceReadIOps": [{"Path": node, "Rate": 3}],
        "BlkioDeviceWriteIOps": [{"Path": node, "Rate": 4}],
        "DeviceCgroupRules": ["c 42:* rm"],
        "CgroupParent": "cmanager-words",
        "NetworkRate": {"Receive": 1_000_000, "Send": 1_000_000},
    }
    assert {key: found[key] for key in expected} == expected


def test_explain_names_every_limit_and_changes_nothing(cli: Cli) -> None:
    shown = cli.ok("explain", "run", "-m", "64m", "--cpu-quota", "5000", "--network-rate", "send=1m", "busybox")
    assert "memory 67108864" in shown
    assert "cpu_quota 5000" in shown
    assert "bound its bytes a second: send 1048576" in shown


def test_lax_leaves_out_what_cannot_be_and_says_so(cli: Cli, tmp_path: Path) -> None:
    with disk(tmp_path, scheduler="none") as node:
        options = ("--limits", "lax", "--blkio-weight-device", f"{node}:300", "--pids-limit", "77")
        done = cli("run", "-d", "--name", "lax", *options, "busybox", "sleep", "1000")
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"cmanager: warning: left out: --blkio-weight-device {node}")
        found = cli.inspect("lax")
        assert any(node in warning for warning in found["Cmanager"]["Warnings"])
        assert (found["HostConfig"]["BlkioWeightDevice"], found["HostConfig"]["PidsLimit"]) == ([], 77)
        strict = cli("update", "--blkio-weight-device", f"{node}:400", "--pids-limit", "78", "lax")
        assert (strict.returncode, cli.inspect("lax")["HostConfig"]["PidsLimit"]) == (1, 77)
        lax = cli("update", "--limits", "lax", "--blkio-weight-device", f"{node}:400", "--pids-limit", "78", "lax")
        assert lax.returncode == 0
        assert "left out" in lax.stderr
        assert cli.inspect("lax")["HostConfig"]["PidsLimit"] == 78


def test_what_only_one_version_has_is_refused_on_the_other(cli: Cli) -> None:
    memory = next(h for h in cgroups.hierarchies() if "memory" in h.controllers)
    for option in (["--memory-swappiness", "10"], ["--oom-kill-disable", "-m", "64m"]):
        done = cli("run", "--rm", *option, "busybox", "true")
        if memory.version == 1:
            assert done.returncode == 0, done.stderr
        else:
            assert done.returncode == 125
            assert "of cgroup v1" in done.stderr


def test_a_page_size_that_is_none_is_refused_naming_the_file(cli: Cli) -> None:
    done = cli("run", "--hugetlb", "3m:64m", "busybox", "true")
    assert done.returncode == 125
    assert "hugetlb" in done.stderr
