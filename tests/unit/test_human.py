"""Sizes and times as people write and read them."""

from __future__ import annotations

import time

import pytest

from cmanager.cli.output import human
from cmanager.errors import InvalidError

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("512b", 512),
        ("10kb", 10 << 10),
        ("64m", 64 << 20),
        ("64MiB", 64 << 20),
        ("1g", 1 << 30),
        ("1.5g", 3 << 29),
        ("1 G", 1 << 30),
    ],
)
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert human.parse_size(text, "--memory") == size


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "-1", "x", "1x", "1e3", "m", "512ib", "1..5g", "\u0661m", "9" * 400, "9p" * 2]
)
def test_a_size_that_is_none_names_its_flag(text: str) -> None:
    with pytest.raises(InvalidError, match=r"invalid --memory '.*', expected a size such as 64m or 1g"):
        human.parse_size(text, "--memory")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1700000000", 1700000000.0),
        ("1700000000.25", 1700000000.25),
        ("2023-11-14T22:13:20Z", 1700000000.0),
        ("2023-11-14T22:13:20.500000000Z", 1700000000.5),
        ("2023-11-15T00:13:20+02:00", 1700000000.0),
    ],
)
def test_times_are_rfc_3339_or_unix_seconds(text: str, seconds: float) -> None:
    assert human.parse_time(text, "--since") == seconds


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25)])
def test_a_duration_means_so_long_ago(text: str, seconds: float) -> None:
    before = time.time()
    found = human.parse_time(text, "--since")
    assert before - seconds - 0.001 <= found <= time.time() - seconds + 0.001


@pytest.mark.parametrize("text", ["", "yesterday", "-5m", "5d", "2023-13-01T00:00:00Z", "0001-01-01", "9" * 400])
def test_a_time_that_is_none_names_its_flag(text: str) -> None:
    with pytest.raises(InvalidError, match=r"invalid --since '.*', expected RFC 3339, unix seconds or a duration"):
        human.parse_time(text, "--since")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "Less than a second"),
        (0.99, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (_MINUTE, "About a minute"),
        (2 * _MINUTE, "2 minutes"),
        (_HOUR - 1, "59 minutes"),
        (_HOUR, "About an hour"),
        (1.5 * _HOUR, "2 hours"),
        (2.5 * _HOUR, "3 hours"),
        (47.4 * _HOUR, "47 hours"),
        (47.6 * _HOUR, "2 days"),
        (13 * _DAY, "13 days"),
        (14 * _DAY, "2 weeks"),
        (60 * _DAY, "2 months"),
        (729 * _DAY, "24 months"),
        (730 * _DAY, "2 years"),
    ],
)
def test_durations_are_in_dockers_words(seconds: float, words: str) -> None:
    assert human.duration(seconds) == words


def test_what_lies_in_the_future_happened_just_now() -> None:
    assert human.ago(100, 50) == "Less than a second ago"
    assert human.ago(40, 100) == "About a minute ago"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (4260000, "4.26MB"),
        (999600, "1MB"),
        (1.05e9, "1.05GB"),
        (5e18, "5000PB"),
    ],
)
def test_sizes_are_shown_in_powers_of_1000(count: float, shown: str) -> None:
    assert human.size(count) == shown


def test_never_is_the_year_one_as_docker_writes_it() -> None:
    assert human.rfc3339(0) == "0001-01-01T00:00:00Z"
    assert human.rfc3339(1700000000.5) == "2023-11-14T22:13:20.500000Z"


@pytest.mark.parametrize(
    "text", ["1700000000.123456789", "2023-11-14T22:13:20.123456789Z", "2023-11-15T00:13:20.123456789+02:00"]
)
def test_no_nanosecond_is_lost(text: str) -> None:
    found = human.parse_time_ns(text, "--since")
    assert found == 1_700_000_000_123_456_789
    assert human.nanosecond_time(found) == "2023-11-14T22:13:20.123456789Z"
