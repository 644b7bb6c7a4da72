"""Every error cmanager raises on purpose.

Text is lower case, one line, without a full stop; it carries the path, id or plugin, the errno where there is one,
and what to do next. Callers test the class, people read the text, the command line turns `exit_code` into its own.
"""

from __future__ import annotations

import os
from typing import Any


class CmanagerError(Exception):
    """Base of all: a fault of the manager, of a plugin or of what was asked."""

    exit_code = 125


class InvalidError(CmanagerError):
    """What was asked, or a file that a person wrote, makes no sense."""


class NotFoundError(CmanagerError):
    """The named container, image, network or plugin does not exist."""


class ConflictError(CmanagerError):
    """The name is taken, or the object is in a state that forbids this."""


class UnsupportedError(CmanagerError):
    """This host, or the chosen plugin, cannot honour the request."""


class ExhaustedError(CmanagerError):
    """A pool, a bridge or a disk is full."""


class CorruptError(CmanagerError):
    """Stored or received data is not what its digest, size or schema promises."""


class PluginError(CmanagerError):
    """A plugin failed to load or broke its contract; the text names it."""


class HostError(CmanagerError):
    """The kernel refused an operation; carries what was being done, where, and the errno.

    doing: str, the step in plain words; path: str, the object it was done to; errno: int.
    """

    def __init__(self, doing: str, path: str, errno: int) -> None:
        where = f" {path}" if path else ""
        super().__init__(f"cannot {doing}{where}: {os.strerror(errno).lower()} (errno {errno})")
        self.errno = errno

    @classmethod
    def of(cls, doing: str, path: str | os.PathLike[str], error: OSError) -> HostError:
        """The same error, told from an OSError."""
        return cls(doing, os.fspath(path), error.errno or 0)


class CommandError(CmanagerError):
    """The container's program could not be executed: 127 when not found, 126 when found but not executable."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


#: What an error has besides its text.
_KEPT = ("errno", "exit_code")


def told(error: CmanagerError) -> dict[str, Any]:
    """An error as plain data, for another process; `retold` makes it one again.

    A class of a plugin's own is told as the one of these that it is derived from.
    """
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == __name__)
    return {"kind": kind.__name__, "text": str(error)} | {key: vars(error)[key] for key in _KEPT if key in vars(error)}


def retold(data: dict[str, Any]) -> CmanagerError:
    """The error that `told` told of; of the base class where this process does not know its class."""
    kind = globals().get(data["kind"])
    error = CmanagerError.__new__(kind if isinstance(kind, type) and issubclass(kind, CmanagerError) else CmanagerError)
    Exception.__init__(error, data["text"])
    vars(error).update({key: data[key] for key in _KEPT if key in data})
    return error
