"""The options that limit a container, which `run`, `create` and `update` share, in Docker's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..model import DeviceLimit, DeviceRule, HugetlbLimit, Limits

_SPEED = "DEVICE:BYTES"
_OPERATIONS = "DEVICE:NUMBER"
_SPEEDS = ("device_read_bps", "device_write_bps")
_BY_DEVICE = ("blkio_weight_device", *_SPEEDS, "device_read_iops", "device_write_iops")
_RATE = re.compile(r"(\d{1,12}(?:\.\d+)?)([kmg]?)bit", re.IGNORECASE | re.ASCII)
_RULE = re.compile(r"([abc]) (\d{1,7}|\*):(\d{1,7}|\*) ([rwm]{1,3})", re.ASCII)
_PAGE = re.compile(r"(\d{1,7})([kmg])b?", re.IGNORECASE | re.ASCII)

#: What `update` can change too.
OPTIONS: list[Callable[[Any], Any]] = [
    click.option("-m", "--memory", default="", metavar="BYTES", help="Memory limit, such as 64m."),
    click.option("--memory-swap", default="", metavar="BYTES", help="Memory and swap together, -1 for no limit."),
    click.option("--memory-reservation", default="", metavar="BYTES", help="Memory it keeps under pressure."),
    click.option("--memory-swappiness", type=int, default=None, metavar="0-100", help="How readily it is swapped out."),
    click.option(
        "--oom-kill-disable/--no-oom-kill-disable", default=None, help="Let what wants too much memory wait, not die."
    ),
    click.option("--cpus", type=float, default=None, help="Number of CPUs' worth of time."),
    click.option("--cpu-period", type=int, default=None, metavar="MICROSECONDS", help="In which the quota counts."),
    click.option(
        "--cpu-quota", type=int, default=None, metavar="MICROSECONDS", help="Time in each period, -1 for all."
    ),
    click.option(
        "--cpu-burst", type=int, default=None, metavar="MICROSECONDS", help="Unused time that it may save up."
    ),
    click.option("-c", "--cpu-shares", type=int, default=None, help="Relative weight, 1024 is the default."),
    click.option("--cpuset-cpus", default=None, help="CPUs it may run on, such as 0-1,3."),
    click.option("--cpuset-mems", default=None, help="Memory nodes it may use, such as 0-1."),
    click.option("--pids-limit", type=int, default=None, help="Number of processes, -1 for no limit."),
    click.option("--blkio-weight", type=int, default=None, metavar="10-1000", help="Relative weight on disks."),
    click.option("--blkio-weight-device", multiple=True, metavar="DEVICE:WEIGHT", help="The same on one disk."),
    click.option("--device-read-bps", multiple=True, metavar=_SPEED, help="Bytes a second it may read."),
    click.option("--device-write-bps", multiple=True, metavar=_SPEED, help="Bytes a second it may write."),
    click.option("--device-read-iops", multiple=True, metavar=_OPERATIONS, help="Reads a second it may do."),
    click.option("--device-write-iops", multiple=True, metavar=_OPERATIONS, help="Writes a second it may do."),
    click.option("--device-cgroup-rule", multiple=True, metavar="'c 1:3 rwm'", help="Let it use such devices."),
    click.option("--hugetlb", multiple=True, metavar="SIZE:BYTES", help="Huge pages of a size, such as 2m:64m."),
    click.option(
        "--network-rate",
        default="",
        metavar="RATE|receive=RATE,send=RATE",
        help="Speed of its network, such as 10mbit, or 1m for bytes a second.",
    ),
    click.option(
        "--limits",
        type=click.Choice(["strict", "lax"]),
        default="strict",
        help="Refuse limits that this host cannot apply, or leave them out and warn.",
    ),
]


def parsed(given: dict[str, Any]) -> Limits:
    """The limits of these options; every mistake names its flag."""
    from ..model import Limits
    from .output.human import parse_size

    def size(name: str) -> int | None:
        return parse_size(given[name], f"--{name.replace('_', '-')}") if given[name] else None

    return Limits(
        memory=size("memory"),
        memory_swap=-1 if given["memory_swap"] == "-1" else size("memory_swap"),
        memory_reservation=size("memory_reservation"),
        memory_swappiness=None if given["memory_swappiness"] == -1 else given["memory_swappiness"],
        oom_kill_disable=given["oom_kill_disable"],
        cpus=given["cpus"],
        cpu_period=given["cpu_period"] or None,
        cpu_quota=given["cpu_quota"] or None,
        cpu_burst=given["cpu_burst"],
        cpu_shares=given["cpu_shares"],
        cpuset_cpus=given["cpuset_cpus"],
        cpuset_mems=given["cpuset_mems"],
        pids=given["pids_limit"],
        blkio_weight=given["blkio_weight"] or None,
        devices=tuple(_rule(text) for text in given["device_cgroup_rule"]),
        hugetlb=tuple(_pages(text) for text in given["hugetlb"]),
        parent=given.get("cgroup_parent", ""),
        **{name: _by_device(name, given[name]) for name in _BY_DEVICE},
    )


def rate(text: str) -> dict[str, int]:
    """`--network-rate` as fields of `Rate`: one for both directions, or `receive=` and `send=`, 0 for no bound."""
    from ..errors import InvalidError

    if not text:
        return {}
    if "=" not in text:
        return dict.fromkeys(("receive", "send"), _speed(text))
    found: dict[str, int] = {}
    for part in text.split(","):
        way, _, speed = part.partition("=")
        if way not in ("receive", "send") or way in found:
            raise InvalidError(f"invalid --network-rate {text!r}, expected RATE or receive=RATE,send=RATE")
        found[way] = _speed(speed)
    return found


def _speed(text: str) -> int:
    """Bytes a second behind "10mbit", whose units are powers of 1000 as in tc(8), or "1m", a size."""
    from .output.human import parse_size

    if text == "0":
        return 0
    if match := _RATE.fullmatch(text):
        speed = float(match[1]) * 1000 ** " kmg".index(match[2].lower() or " ") / 8
        return max(1, int(speed)) if speed else 0  # 0 is no bound
    return parse_size(text, "--network-rate")


def _by_device(name: str, texts: Iterable[str]) -> tuple[DeviceLimit, ...]:
    from ..errors import InvalidError
    from ..model import DeviceLimit
    from .output.human import parse_size

    option, found = f"--{name.replace('_', '-')}", {}
    for text in texts:
        path, colon, value = text.rpartition(":")
        if not colon or not path.startswith("/dev/") or not value[:1].isdigit():
            unit = "BYTES such as 30mb" if name in _SPEEDS else "NUMBER"
            raise InvalidError(f"invalid {option} {text!r}, expected a path below /dev, a colon and {unit}")
        if name in _SPEEDS:
            found[path] = 0 if value == "0" else parse_size(value, option)
        elif value.isascii() and value.isdigit():
            found[path] = int(value)
        else:
            raise InvalidError(f"invalid {option} {text!r}, {value!r} is not a number")
    return tuple(DeviceLimit(path, number) for path, number in found.items())


def _rule(text: str) -> DeviceRule:
    from ..errors import InvalidError
    from ..model import DeviceRule

    match = _RULE.fullmatch(text)
    if not match:
        raise InvalidError(f"invalid --device-cgroup-rule {text!r}, expected a rule such as 'c 1:3 rwm' or 'b 8:* r'")
    major, minor = (None if number == "*" else int(number) for number in match.group(2, 3))
    access = "".join(letter for letter in "rwm" if letter in match[4])
    if match[1] != "a":
        return DeviceRule(True, match[1], major, minor, access)
    if (major, minor, access) != (None, None, "rwm"):
        # What stands behind an "a" is not looked at (cgroup-v1/devices.rst).
        raise InvalidError(f"invalid --device-cgroup-rule {text!r}, a is every device: give 'a *:* rwm'")
    return DeviceRule(True)


def _pages(text: str) -> HugetlbLimit:
    from ..errors import InvalidError
    from ..model import HugetlbLimit
    from .output.human import parse_size

    size, colon, limit = text.partition(":")
    match = _PAGE.fullmatch(size)
    if not colon or not match:
        raise InvalidError(f"invalid --hugetlb {text!r}, expected SIZE:BYTES such as 2m:64m")
    return HugetlbLimit(f"{match[1]}{match[2].upper()}B", 0 if limit == "0" else parse_size(limit, "--hugetlb"))
