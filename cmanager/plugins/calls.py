"""What a seam's methods take and return, read from its Protocols; and objects that have exactly those methods."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from functools import cache
from types import FunctionType
from typing import Any

from .. import hookspecs
from ..linux.values import frozen
from ..model import plugin
from ..model.codec import Fd
from ..seams import ABILITIES, SEAMS

#: Carries out one call: call(method, positional arguments, keyword arguments).
Call = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]


@frozen
class Method:
    """One method of a seam. parameters: names in order; hints: their types; returns: the type of what comes back."""

    name: str
    parameters: tuple[str, ...]
    hints: dict[str, Any]
    returns: Any

    @property
    def writes(self) -> bool:
        """Whether it writes to a descriptor of the caller's, whose errors are the caller's too."""
        return self.hints.get("out") == Fd


def protocols(seam: str) -> dict[str, type]:
    """Those of a seam and of what its providers may be besides, by name."""
    return {kind.__name__: kind for kind in (*SEAMS[seam][1], *ABILITIES[seam])}


@cache
def methods(seam: str) -> dict[str, Method]:
    """Every method of a seam by its name, optional ones too; of "hooks" the hooks that are no discovery."""
    return {name: _method(function) for name, function in _functions(seam).items()}


def _functions(seam: str) -> dict[str, Any]:
    if seam == "hooks":
        return {name: getattr(hookspecs, name) for name in ("cmanager_amend", "cmanager_event")}
    return {
        name: function
        for protocol in protocols(seam).values()
        for name, function in vars(protocol).items()
        if isinstance(function, FunctionType) and not name.startswith("_")
    }


@cache
def attributes(protocol: type) -> dict[str, Any]:
    """The values that a Protocol asks for beside methods, each with its type."""
    return {
        name: typing.get_type_hints(value.fget)["return"]
        for name, value in vars(protocol).items()
        if isinstance(value, property) and value.fget
    }


def face(seam: str, names: tuple[str, ...], values: Mapping[str, Any], call: Call) -> Any:
    """An object that is an instance of these Protocols of the seam and has nothing else.

    names: of the Protocols, none for "hooks"; values: their attributes; call: carries out every method.
    """
    return _class(seam, names)(values, call)


class _Face:
    """values, call: as in `face`."""

    def __init__(self, values: Mapping[str, Any], call: Call) -> None:
        self.__dict__.update(values)
        self._call = call


@cache
def _class(seam: str, names: tuple[str, ...]) -> type[_Face]:
    kinds = [hookspecs] if seam == "hooks" else [protocols(seam)[name] for name in names]
    known = _functions(seam)
    body = {name: _forward(name) for kind in kinds for name in vars(kind) if name in known}
    return type(f"{seam.capitalize()}Face", (_Face,), body)


def _forward(method: str) -> Callable[..., Any]:
    def forward(self: _Face, *arguments: Any, **named: Any) -> Any:
        return self._call(method, arguments, named)

    forward.__name__ = method
    return forward


def _method(function: Any) -> Method:
    # The hook specs name the author's values without importing them.
    code, hints = function.__code__, typing.get_type_hints(function, localns=vars(plugin), include_extras=True)
    returns = hints.pop("return")
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return Method(function.__name__, tuple(name for name in names if name != "self"), hints, returns)
