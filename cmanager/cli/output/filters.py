"""`--filter KEY=VALUE`: the same key twice is "or", different keys are "and", `!=` is "not"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from ...errors import InvalidError

T = TypeVar("T")
#: Whether an object matches the value of one filter.
Test = Callable[[T, str], bool]


def parse(filters: Iterable[str], tests: dict[str, Test[T]]) -> Callable[[T], bool]:
    """One predicate of all filters. tests: the known keys. InvalidError lists them for a filter that is none."""
    wanted: dict[tuple[str, bool], list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        negated = key.endswith("!")
        key = key.removesuffix("!")
        if not equals or key not in tests:
            raise InvalidError(f"invalid --filter {text!r}, valid filters are {', '.join(sorted(tests))}")
        wanted.setdefault((key, negated), []).append(value)

    def matches(item: T) -> bool:
        for (key, negated), values in wanted.items():
            if any(tests[key](item, value) for value in values) == negated:
                return False
        return True

    return matches


def expression(text: str) -> re.Pattern[str]:
    """A regular expression of the user's, or InvalidError."""
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidError(f"invalid regular expression {text!r}: {error}") from None


def label(labels: dict[str, str], wanted: str) -> bool:
    """Docker's `label=KEY` or `label=KEY=VALUE`."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
