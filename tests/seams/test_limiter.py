"""The limiter seam's suite over every provider, and what the cgroup limiter alone promises."""

from __future__ import annotations

import os

import pytest

from cmanager.linux import cgroups
from cmanager.linux.cgroupfs import bpf
from cmanager.model import DeviceRule, Limits
from cmanager.oci import defaults
from cmanager.testing import ClockSuite, CoverSuite, LimiterSuite, WatchSuite
from cmanager_cgroup.limiter import CgroupLimiter


class TestCgroup(LimiterSuite):
    provider = "cgroup"
    options = {"parent": "/cmanager-suite"}

    def test_a_parent_that_another_start_made_and_did_not_finish_is_finished(self, id: str) -> None:
        parent = f"/cmanager-half-{id[:8]}"
        limiter = CgroupLimiter(parent)
        made = [hierarchy.path(parent) for hierarchy in cgroups.hierarchies()]
        try:
            for directory in made:
                os.mkdir(directory)
            path = limiter.create(id, Limits(memory=64 << 20, cpu_shares=512, pids=8)).path
            assert joins(path)
        finally:
            limiter.remove(id)
            for directory in made:
                os.rmdir(directory)


class TestCgroupCovers(CoverSuite):
    provider = "cgroup"
    options = {"parent": "/cmanager-suite"}


class TestCgroupClock(ClockSuite):
    provider = "cgroup"
    options = {"parent": "/cmanager-suite"}


class TestCgroupWatches(WatchSuite):
    provider = "cgroup"
    options = {"parent": "/cmanager-suite"}


def joins(path: str) -> bool:
    """Whether a process can be put into the cgroup in every hierarchy."""
    pid = os.fork()
    if pid == 0:
        try:
            for hierarchy in cgroups.hierarchies():
                cgroups.join(hierarchy.path(path))
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def decide(rules: tuple[DeviceRule, ...], kind: str, major: int, minor: int, access: str) -> bool:
    """Run the program as the kernel would, instruction by instruction."""
    import struct

    program = bpf.compile_rules(rules)
    wish = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    memory = {0: {"b": 1, "c": 2}[kind] | wish << 16, 4: major, 8: minor}
    registers, at = [0] * 11, 0
    while True:
        code, both, offset, value = struct.unpack_from("<BBhi", program, at * 8)
        target, source = both & 15, both >> 4
        at += 1
        if code == 0x61:
            registers[target] = memory[offset]
        elif code == 0xBF:
            registers[target] = registers[source]
        elif code == 0xB7:
            registers[target] = value
        elif code == 0x54:
            registers[target] &= value
        elif code == 0x74:
            registers[target] >>= value
        elif code == 0x55:
            at += offset if registers[target] != value else 0
        elif code == 0x15:
            at += offset if registers[target] == value else 0
        elif code == 0x95:
            return bool(registers[0])


@pytest.mark.parametrize(
    ("device", "allowed"),
    [
        (("c", 1, 3, "rw"), True),
        (("c", 1, 11, "r"), False),
        (("c", 1, 11, "m"), True),
        (("b", 8, 0, "r"), False),
        (("b", 8, 0, "m"), True),
        (("c", 136, 7, "rw"), True),
        (("c", 5, 3, "rw"), False),
    ],
)
def test_the_default_devices_on_v2(device: tuple[str, int, int, str], allowed: bool) -> None:
    assert decide(defaults.DEFAULT_DEVICE_RULES, *device) is allowed


def test_the_last_rule_that_matches_wins() -> None:
    rules = (DeviceRule(True), DeviceRule(False, "c", 1, 3, "w"))
    assert decide(rules, "c", 1, 3, "r") is True
    assert decide(rules, "c", 1, 3, "rw") is False
    assert decide((), "b", 1, 1, "rwm") is True
