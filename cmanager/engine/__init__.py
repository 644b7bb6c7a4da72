"""The engine: every verb as a typed method. The command line is a thin user of it, and so may any program be."""

from .control import Update
from .engine import Engine
from .session import Session

__all__ = ["Engine", "Session", "Update"]
