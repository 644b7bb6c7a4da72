"""`--filter`: same key or, different keys and, `!=` not."""

from __future__ import annotations

import pytest

from cmanager.cli.output import filters
from cmanager.errors import InvalidError

MAKERS: dict[str, filters.Maker[str]] = {
    "has": lambda value: lambda text: value in text,
    "length": lambda value: lambda text: len(text) == int(value),
}
WORDS = ["ab", "abc", "bcd", "xyz"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([], WORDS),
        (["has=a"], ["ab", "abc"]),
        (["has=a", "has=x"], ["ab", "abc", "xyz"]),
        (["has=a", "length=3"], ["abc"]),
        (["has!=a"], ["bcd", "xyz"]),
        (["has!=a", "has!=x"], ["bcd"]),
        (["has=b", "has!=c"], ["ab"]),
    ],
)
def test_filters_combine(given: list[str], kept: list[str]) -> None:
    assert list(filter(filters.parse(given, MAKERS), WORDS)) == kept


@pytest.mark.parametrize("text", ["colour=red", "has", "", "=x", "!=x", "has!"])
def test_an_unknown_filter_lists_the_valid_ones(text: str) -> None:
    with pytest.raises(InvalidError, match=r"invalid --filter '.*', valid filters are has, length"):
        filters.parse([text], MAKERS)


def test_a_value_may_hold_equals_signs() -> None:
    assert filters.parse(["has=a=b"], MAKERS)("xa=bx")


def test_a_label_matches_by_key_or_by_key_and_value() -> None:
    labels = {"tier": "web", "empty": ""}
    assert filters.label("tier")(labels)
    assert filters.label("tier=web")(labels)
    assert filters.label("empty=")(labels)
    assert not filters.label("tier=db")(labels)
    assert not filters.label("other")(labels)


@pytest.mark.parametrize("text", ["(", "*", "a{99999999999}"])
def test_a_regular_expression_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="invalid regular expression"):
        filters.expression(text)
