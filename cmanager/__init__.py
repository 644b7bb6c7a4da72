"""cmanager: a pluggable, multi-runtime container manager for Linux.

The engine is the Python API (`from cmanager import Engine`), `hookimpl` with `cmanager.seams`, `cmanager.model`,
`cmanager.linux`, `cmanager.errors` and `cmanager.testing` the API for plugin authors. Names load when used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the client of the command server does without `typing`
if TYPE_CHECKING:
    from typing import Any

    from .engine import Engine
    from .hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = ["Engine", "__version__", "hookimpl"]


def __getattr__(name: str) -> Any:
    if name == "Engine":
        from .engine import Engine

        return Engine
    if name == "hookimpl":
        from .hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
