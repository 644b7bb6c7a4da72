"""The engine: every verb as a typed method. The command line is a thin user of it, and so may any program be."""

from .engine import Engine, Session

__all__ = ["Engine", "Session"]
