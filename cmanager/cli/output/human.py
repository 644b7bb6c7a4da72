"""Sizes and times as people write and read them; the words are Docker's."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from ...errors import InvalidError

_SIZE = re.compile(r"(\d{1,19}(?:\.\d+)?) ?(?:([kmgtp])i?)?b?", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d+)?(?:ms|s|m|h))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MINUTE, _HOUR = 60, 3600


def parse_size(text: str, flag: str) -> int:
    """Bytes behind "64m", "1.5g" or "512"; k, m, g, t, p are powers of 1024. InvalidError names the flag."""
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * 1024 ** " kmgtp".index((match[2] or " ").lower())) if match else 0
    if not 0 < size < 2**63:
        raise InvalidError(f"invalid {flag} {text!r}, expected a size such as 64m or 1g")
    return size


def parse_duration(text: str, flag: str) -> float:
    """Seconds behind "1h30m", "500ms" or "0s". InvalidError names the flag."""
    if not _DURATION.fullmatch(text):
        raise InvalidError(f"invalid {flag} {text!r}, expected a duration such as 30s or 1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def parse_time(text: str, flag: str) -> float:
    """Epoch seconds behind RFC 3339, unix seconds, or a duration ago such as 10m or 1h30m."""
    return parse_time_ns(text, flag) / 10**9


def parse_time_ns(text: str, flag: str) -> int:
    """The same in nanoseconds, none of them lost."""
    if re.fullmatch(r"\d{1,15}(\.\d+)?", text, re.ASCII):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + _nanoseconds(fraction)
    if _DURATION.fullmatch(text):
        return time.time_ns() - int(1e9 * sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))
    match = re.search(r"\.(\d+)", text, re.ASCII)
    try:
        # Nanoseconds are more than datetime reads.
        found = datetime.fromisoformat(text.replace(match[0], "", 1) if match else text)
        whole = (found if found.tzinfo else found.astimezone()).timestamp()
    except (ValueError, OverflowError):
        expected = "expected RFC 3339, unix seconds or a duration such as 10m"
        raise InvalidError(f"invalid {flag} {text!r}, {expected}") from None
    return int(whole) * 10**9 + (_nanoseconds(match[1]) if match else 0)


def _nanoseconds(fraction: str) -> int:
    return int(fraction[:9].ljust(9, "0"))


def duration(seconds: float) -> str:
    """ "About a minute", "3 hours": go-units' words."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < _MINUTE:
        return f"{whole} seconds"
    if whole < 2 * _MINUTE:
        return "About a minute"
    if whole < _HOUR:
        return f"{whole // _MINUTE} minutes"
    # Not round(): that makes 2 of 2.5.
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    return f"{days // 30} months" if days < 730 else f"{whole // _HOUR // 24 // 365} years"


def ago(then: float, now: float) -> str:
    """ "5 minutes ago"."""
    return f"{duration(max(0.0, now - then))} ago"


def size(count: float) -> str:
    """ "4.26MB": three digits and powers of 1000, as Docker shows sizes."""
    unit, *larger = _UNITS
    # 999.6 would be shown as 1e+03 of the smaller unit.
    while count >= 999.5 and larger:
        count /= 1000
        unit = larger.pop(0)
    return f"{count:.3g}{unit}" if count < 999.5 else f"{count:.0f}{unit}"


def binary_size(count: float) -> str:
    """ "1.504MiB": four digits and powers of 1024, as Docker shows memory."""
    unit, *larger = _BINARY_UNITS
    while count >= 1024 and larger:
        count /= 1024
        unit = larger.pop(0)
    return f"{count:.4g}{unit}" if count < 9999.5 else f"{count:.0f}{unit}"


def rfc3339(seconds: float) -> str:
    """UTC with microseconds; the year 1 for never, as Docker writes it."""
    if not seconds:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def nanosecond_time(nanoseconds: int) -> str:
    """ "2026-11-23T12:23:41.423313329Z"."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def local_time(seconds: float) -> str:
    """ "2026-11-23 12:00:00 +0000 UTC", as in Docker's CreatedAt."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z")
