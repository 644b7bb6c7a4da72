"""`--filter KEY=VALUE`: the same key twice is "or", different keys are "and", `!=` is "not"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ...errors import InvalidError

T = TypeVar("T")
#: Whether an object matches.
Test = Callable[[T], bool]
#: From a filter's value to its test; InvalidError for a value that makes no sense.
Maker = Callable[[str], Test[T]]


def parse(filters: Iterable[str], makers: Mapping[str, Maker[T]]) -> Test[T]:
    """One test of all filters. makers: the known keys. InvalidError lists them for a filter that is none."""
    wanted: dict[tuple[str, bool], list[Test[T]]] = {}
    for text in filters:
        key, negated, value = split(text, makers)
        wanted.setdefault((key, negated), []).append(makers[key](value))

    def matches(item: T) -> bool:
        return all(any(test(item) for test in tests) != negated for (_, negated), tests in wanted.items())

    return matches


def split(text: str, known: Iterable[str]) -> tuple[str, bool, str]:
    """Key, whether it is negated, and value of one filter."""
    key, equals, value = text.partition("=")
    name = key.removesuffix("!")
    if not equals or name not in known:
        raise InvalidError(f"invalid --filter {text!r}, valid filters are {', '.join(sorted(known))}")
    return name, name != key, value


def expression(text: str) -> re.Pattern[str]:
    """A regular expression of the user's, or InvalidError."""
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidError(f"invalid regular expression {text!r}: {error}") from None


def label(wanted: str) -> Test[dict[str, str]]:
    """Docker's `label=KEY` or `label=KEY=VALUE`."""
    key, equals, value = wanted.partition("=")
    return lambda labels: key in labels and (not equals or labels[key] == value)


def one_of(key: str, value: str, known: Iterable[str]) -> str:
    """`value` if it is among the known ones, else InvalidError."""
    if value not in known:
        raise InvalidError(f"invalid --filter '{key}={value}', expected one of {', '.join(known)}")
    return value
