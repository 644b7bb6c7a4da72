"""`--sort KEY[,KEY…]`: `-KEY` and `KEY:desc` turn the order round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ...errors import InvalidError

T = TypeVar("T")


def by(text: str, keys: Mapping[str, Callable[[T], Any]]) -> Callable[[list[T]], list[T]]:
    """A function that sorts by these keys, the first counting most; what is equal keeps its place.

    keys: what each word compares. InvalidError lists them for a word that is none.
    """
    wanted = [_parsed(word.strip(), keys) for word in text.split(",")] if text else []

    def sort(items: list[T]) -> list[T]:
        for key, descending in reversed(wanted):
            items = sorted(items, key=keys[key], reverse=descending)
        return items

    return sort


def _parsed(word: str, known: Mapping[str, Any]) -> tuple[str, bool]:
    key, _, order = word.removeprefix("-").partition(":")
    if key not in known or order not in ("", "asc", "desc"):
        raise InvalidError(f"invalid --sort {word!r}, expected [-]KEY[:asc|:desc] of {', '.join(sorted(known))}")
    return key, word.startswith("-") != (order == "desc")
