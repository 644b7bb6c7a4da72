"""The engine: every verb as a typed method. The command line is a thin user of it, and so may any program be."""

from typing import TYPE_CHECKING, Any

from .engine import Engine

if TYPE_CHECKING:
    from .control import Update
    from .session import Session

__all__ = ["Engine", "Session", "Update"]


def __getattr__(name: str) -> Any:
    if name == "Session":
        from .session import Session

        return Session
    if name == "Update":
        from .control import Update

        return Update
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
