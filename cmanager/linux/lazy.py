"""Names of a package that load when they are used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names(package: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package. where: its modules, by the names that are to be found in them."""

    def get(name: str) -> Any:
        if name in where:
            return getattr(import_module(f"{package}.{where[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
