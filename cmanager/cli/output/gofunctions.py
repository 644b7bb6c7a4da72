"""The functions of a Go template: text/template's own, and those that Docker adds.

Each raises TypeError, ValueError or LookupError for what it cannot take, or InvalidError where it can say more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from ...errors import InvalidError
from .safe import json_text

_DIRECTIVE = re.compile(r"%(?:(?P<flags>[-+0]*)(?P<size>\d{0,3}(?:\.\d{1,3})?)(?P<verb>[dfqstv])|%)", re.ASCII)
_WIDEST = 1000


class OpenMap(dict[str, Any]):
    """A map whose keys are data, such as labels: a key that it does not have is empty, not a mistake."""


def kind(value: Any) -> str:
    """What a value is called in an error."""
    if value is None:
        return "nothing"
    names = {bool: "bool", int: "number", float: "fraction", str: "text", list: "list", tuple: "list"}
    return names.get(type(value), "map" if isinstance(value, dict) else type(value).__name__)


def show(value: Any) -> str:
    """As fmt.Print: a map as map[a:1], a list as [a b]."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(show(item) for item in value) + "]"
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return list(value)


def _length(value: Any) -> int:
    if not isinstance(value, str | list | tuple | dict):
        raise TypeError
    # Go counts bytes.
    return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else len(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = _element(value, key)
    return value


def _element(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        # As in Go, a key that a map does not have is the empty value: of text "", of anything with fields nothing.
        return value.get(_text(key), None if any(isinstance(item, dict) for item in value.values()) else "")
    return _list(value)[_within(key, len(value) - 1)]


def _slice(value: Any, first: Any = 0, last: Any = None) -> Any:
    value = value if isinstance(value, str) else _list(value)
    last = len(value) if last is None else last
    return value[_within(first, last) : _within(last, len(value))]


def _within(number: Any, most: int) -> int:
    if kind(number) != "number" or not 0 <= number <= most:
        raise IndexError
    return int(number)


def _same(first: Any, second: Any) -> bool:
    if None not in (first, second) and kind(first) != kind(second):
        raise TypeError
    return bool(first == second)


def _equal(first: Any, second: Any, *others: Any) -> bool:
    return any(_same(first, other) for other in (second, *others))


def _less(first: Any, second: Any) -> bool:
    if kind(first) != kind(second) or isinstance(first, bool):
        raise TypeError
    return bool(first < second)


def _print(*values: Any) -> str:
    """As fmt.Print: a space between two operands when neither is text."""
    out = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out += " "
        out += "<nil>" if value is None else show(value)
    return out


def _printf(text: str, *values: Any) -> str:
    left, out, position = iter(values), "", 0
    while (start := _text(text).find("%", position)) >= 0:
        match = _DIRECTIVE.match(text, start)
        if not match:
            raise InvalidError(f"template: printf directive {text[start : start + 5]!r} is not supported")
        out += text[position:start] + (_directive(match, left) if match["verb"] else "%")
        position = match.end()
    if next(left, left) is not left:
        raise InvalidError(f"template: printf has more values than {text[:100]!r} shows")
    return out + text[position:]


def _directive(match: re.Match[str], values: Iterator[Any]) -> str:
    value, verb = next(values, values), match["verb"]
    if value is values:
        raise InvalidError(f"template: printf has no value for {match[0]!r}")
    takes = {"d": ("number",), "f": ("fraction",), "q": ("text",), "s": ("text", "list", "map"), "t": ("bool",)}
    if kind(value) not in takes.get(verb, (kind(value),)):
        raise InvalidError(f"template: printf {match[0]} cannot show a {kind(value)}")
    if verb in "df":
        return f"%{match['flags']}{match['size']}{verb}" % value
    if "+" in match["flags"] or "0" in match["flags"]:
        raise InvalidError(f"template: printf directive {match[0]!r} is not supported")
    shown = json.dumps(value, ensure_ascii=False) if verb == "q" else show(value)
    return f"%{match['flags']}{match['size']}s" % shown


def _title(text: str) -> str:
    return re.sub(r"(?<!\w)\w", lambda match: match[0].upper(), _text(text))


def _truncate(text: str, length: int) -> str:
    return _text(text)[: _within(length, max(length, 0))]


def _pad(text: str, before: int, after: int) -> str:
    return " " * _within(before, _WIDEST) + _text(text) + " " * _within(after, _WIDEST) if text else ""


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": json_text,
    "index": _index,
    "len": _length,
    "slice": _slice,
    "eq": _equal,
    "ne": lambda first, second: not _same(first, second),
    "lt": _less,
    "le": lambda first, second: not _less(second, first),
    "gt": lambda first, second: _less(second, first),
    "ge": lambda first, second: not _less(first, second),
    "not": lambda value: not value,
    "print": _print,
    "println": lambda *values: " ".join(map(show, values)) + "\n",
    "printf": _printf,
    "upper": lambda text: _text(text).upper(),
    "lower": lambda text: _text(text).lower(),
    "title": _title,
    "join": lambda values, separator: _text(separator).join(map(_text, _list(values))),
    "split": lambda text, separator: _text(text).split(_text(separator)),
    "truncate": _truncate,
    "pad": _pad,
}
