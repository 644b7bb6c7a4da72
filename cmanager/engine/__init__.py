"""The engine: every verb as a typed method. The command line is a thin user of it, and so may any program be."""

from typing import TYPE_CHECKING

from ..linux import lazy
from .engine import Engine

if TYPE_CHECKING:
    from .control import Update
    from .session import Session

__all__ = ["Engine", "Session", "Update"]


__getattr__ = lazy.names(__name__, {"Session": "session", "Update": "control"})
