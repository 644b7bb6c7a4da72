"""Values to plain data and back, by their type hints: what is written to disk and what crosses to another process.

Known fields are checked; unknown ones are ignored, so that an older reader takes a newer file's additions.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Annotated, Any, TypeVar

import attrs

from ..errors import CorruptError

T = TypeVar("T")
Reader = Callable[[Any], Any]

_PLAIN = frozenset({str, int, float, bool, types.NoneType})

#: A descriptor, -1 for none: a number that means something in one process only, so it is passed over to another.
Fd = Annotated[int, "descriptor"]


def to_data(value: Any, *, brief: bool = False) -> Any:
    """attrs values, tuples and dicts as dicts and lists that json can write.

    brief: without fields that have their defaults, of which there are many; `from_data` knows them.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if attrs.has(kind):
        fields = ((name, getattr(value, name), default) for name, default in _defaults(kind))
        return {name: to_data(item, brief=brief) for name, item, default in fields if not brief or item != default}
    if isinstance(value, tuple | list):
        return [to_data(item, brief=brief) for item in value]
    if isinstance(value, frozenset | set):
        return sorted(to_data(item, brief=brief) for item in value)
    if isinstance(value, dict):
        return {key: to_data(item, brief=brief) for key, item in value.items()}
    return value


def from_data(kind: type[T], data: Any, where: str = "") -> T:
    """The value of class `kind` that `to_data` wrote; CorruptError names the field that does not fit."""
    hint: Any = kind
    try:
        value: T = _reader(hint)(data)
    except _MisfitError as error:
        place = "".join(reversed(error.place))
        raise CorruptError(f"{where or kind.__name__}{place}: {error.said}") from None
    return value


def prepare(*kinds: type) -> None:
    """Find out now how values of these classes are read and written, which is done once in a process and its forks."""
    for kind in kinds:
        _reader(kind)


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
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Name and default of each field, NOTHING where it has to be given."""
    factory: Any = attrs.Factory
    return tuple(
        (f.name, f.default.factory() if isinstance(f.default, factory) else f.default) for f in attrs.fields(kind)
    )


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Name, type and whether it has to be there, of each field. `typing.get_type_hints` takes some times as long."""
    homes = {name: base.__module__ for base in reversed(kind.__mro__) for name in vars(base).get("__annotations__", ())}
    return tuple((f.name, _hint(f.type, homes[f.name]), f.default is attrs.NOTHING) for f in attrs.fields(kind))


@cache
def _hint(written: Any, module: str) -> Any:
    return eval(written, vars(sys.modules[module])) if isinstance(written, str) else written


class _MisfitError(Exception):
    """said: what does not fit; place: the steps to it from the top, last first."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.place: list[str] = []


def _found(hint: Any, data: Any) -> _MisfitError:
    return _MisfitError(f"expected {getattr(hint, '__name__', hint)}, found {data!r:.60}")


@cache
def _reader(hint: Any) -> Reader:
    """What makes the value that a hint describes of plain data; put together once, as every record is read so."""
    hint = int if hint == Fd else hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if attrs.has(hint):
        return _of_class(hint)
    if origin in (types.UnionType, typing.Union):
        return _of_union(arguments)
    if origin is tuple and arguments[1:] != (Ellipsis,):
        return _of_tuple(hint, tuple(map(_reader, arguments)))
    if origin is tuple:
        return _of_items(hint, _reader(arguments[0]), tuple)
    if origin is frozenset:
        return _of_items(hint, _reader(arguments[0]), frozenset)
    if origin is dict:
        return _of_dict(hint, _reader(arguments[1]))
    if origin is typing.Literal:
        return _checked(hint, lambda data: data in arguments)
    if hint is Any:
        return lambda data: data
    if hint is float:
        return _of_float
    if hint is int:
        return _checked(hint, lambda data: isinstance(data, int) and not isinstance(data, bool))
    return _checked(hint, lambda data: isinstance(data, hint))


def _checked(hint: Any, fits: Callable[[Any], bool]) -> Reader:
    def read(data: Any) -> Any:
        if not fits(data):
            raise _found(hint, data)
        return data

    return read


def _of_float(data: Any) -> float:
    if isinstance(data, int | float) and not isinstance(data, bool):
        return float(data)
    raise _found(float, data)


def _of_class(kind: Any) -> Reader:
    fields = {name: (_plain(hint), _reader(hint)) for name, hint, _ in _fields(kind)}
    needed = tuple(name for name, _, required in _fields(kind) if required)

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise _MisfitError(f"expected an object, found {type(data).__name__}")
        values = {}
        name = ""
        try:
            for name, item in data.items():
                if name in fields:
                    plain, of_field = fields[name]
                    values[name] = item if type(item) in plain else of_field(item)
        except _MisfitError as error:
            error.place.append(f".{name}")
            raise
        for name in needed:
            if name not in values:
                raise _MisfitError(f"field {name!r} is missing")
        return kind(**values)

    return read


def _plain(hint: Any) -> frozenset[type]:
    """Types of which every value that is read fits as it is; of others a reader has to say."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    return frozenset(kinds) if _PLAIN.issuperset(kinds) else frozenset()


def _of_union(arguments: tuple[Any, ...]) -> Reader:
    """One type or None; of several the first."""
    other = _reader(next(argument for argument in arguments if argument is not types.NoneType))
    if types.NoneType in arguments:
        return lambda data: None if data is None else other(data)
    return other


def _of_tuple(hint: Any, readers: tuple[Reader, ...]) -> Reader:
    def read(data: Any) -> Any:
        if not isinstance(data, list | tuple) or len(data) != len(readers):
            raise _found(hint, data)
        return tuple(reader(item) for reader, item in zip(readers, data, strict=True))

    return read


def _of_items(hint: Any, reader: Reader, kind: Callable[[list[Any]], Any]) -> Reader:
    item_hint = typing.get_args(hint)[0]
    plain = _plain(item_hint)
    if attrs.has(item_hint) and all(_plain(kind) for _, kind, _ in _fields(item_hint)):
        reader = _remembered(reader)

    def read(data: Any) -> Any:
        if not isinstance(data, list | tuple):
            raise _found(hint, data)
        if plain.issuperset(map(type, data)):
            return kind(data)  # type: ignore[arg-type]
        items: list[Any] = []
        try:
            for item in data:
                items.append(reader(item))
        except _MisfitError as error:
            error.place.append(f"[{len(items)}]")
            raise
        return kind(items)

    return read


def _remembered(reader: Reader) -> Reader:
    """The same for small values that are in one record as in the next, such as rules for devices: those are shared."""

    @lru_cache(maxsize=256, typed=True)
    def made(names: tuple[str, ...], *values: Any) -> Any:
        return reader(dict(zip(names, values, strict=True)))

    def read(data: Any) -> Any:
        try:
            return made(tuple(data), *data.values())
        except (TypeError, AttributeError):
            return reader(data)  # it says what does not fit

    return read


def _of_dict(hint: Any, reader: Reader) -> Reader:
    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise _found(hint, data)
        values: dict[str, Any] = {}
        key: Any = ""
        try:
            for key, item in data.items():
                values[str(key)] = reader(item)
        except _MisfitError as error:
            error.place.append(f".{key}")
            raise
        return values

    return read
