"""Values to plain data and back, by their type hints: what is written to disk and what crosses to another process.

Known fields are checked; unknown ones are ignored, so that an older reader takes a newer file's additions.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar

import attrs

from ..errors import CorruptError

T = TypeVar("T")

#: A descriptor, -1 for none: a number that means something in one process only, so it is passed over to another.
Fd = Annotated[int, "descriptor"]


def to_data(value: Any) -> Any:
    """attrs values, tuples and dicts as dicts and lists that json can write."""
    if attrs.has(type(value)):
        return {name: to_data(getattr(value, name)) for name, _, _ in _fields(_class(value))}
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted(map(to_data, value))
    if isinstance(value, dict):
        return {key: to_data(item) for key, item in value.items()}
    return value


def from_data(kind: type[T], data: Any, where: str = "") -> T:
    """The value of class `kind` that `to_data` wrote; CorruptError names the field that does not fit."""
    value: T = _decode(kind, data, where or kind.__name__)
    return value


def with_descriptors(hint: Any, value: Any, other: Callable[[int], int]) -> Any:
    """`value`, which `hint` describes, with `other(fd)` for each descriptor in it."""
    if hint == Fd:
        return value if value < 0 else other(value)
    if attrs.has(_class(value)) and attrs.has(hint):
        found = {name: getattr(value, name) for name, kind, _ in _fields(hint) if kind == Fd}
        changed: Any = value
        return attrs.evolve(changed, **{name: with_descriptors(Fd, fd, other) for name, fd in found.items()})
    return value


def _class(value: Any) -> Any:
    return type(value)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple((f.name, hints[f.name], f.default is attrs.NOTHING) for f in attrs.fields(kind))


def _decode(hint: Any, data: Any, where: str) -> Any:
    hint = int if hint == Fd else hint
    if attrs.has(hint):
        if not isinstance(data, dict):
            raise CorruptError(f"{where}: expected an object, found {type(data).__name__}")
        values = {}
        for name, field_hint, required in _fields(hint):
            if name in data:
                values[name] = _decode(field_hint, data[name], f"{where}.{name}")
            elif required:
                raise CorruptError(f"{where}: field {name!r} is missing")
        return hint(**values)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if data is None and types.NoneType in arguments:
            return None
        return _decode(next(a for a in arguments if a is not types.NoneType), data, where)
    if origin is tuple and isinstance(data, list | tuple):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(data))
        if len(data) == len(arguments):
            return tuple(_decode(a, item, where) for a, item in zip(arguments, data, strict=True))
    elif origin is frozenset and isinstance(data, list):
        return frozenset(_decode(arguments[0], item, where) for item in data)
    elif origin is dict and isinstance(data, dict):
        return {str(key): _decode(arguments[1], item, f"{where}.{key}") for key, item in data.items()}
    elif hint is Any or (hint is types.NoneType and data is None) or (origin is typing.Literal and data in arguments):
        return data
    elif hint is float and isinstance(data, int | float) and not isinstance(data, bool):
        return float(data)
    elif isinstance(hint, type) and isinstance(data, hint) and not (hint is int and isinstance(data, bool)):
        return data
    raise CorruptError(f"{where}: expected {getattr(hint, '__name__', hint)}, found {data!r:.60}")
