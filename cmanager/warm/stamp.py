"""What a server has read and would read differently now: its code, its interpreter, plugins.toml, what is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from ..plugins.config import SYSTEM_CONFIG, shipped_directory

_OURS = ("cmanager", "cmanager_")
_INSTALLED = "-packages/"  # site- or, in Debian, dist-


class Stamp:
    """Files and directories as they were when it was made; `holds` costs a stat(2) of each."""

    def __init__(self, files: Iterable[str]) -> None:
        self._was = {path: _state(path) for path in files}

    def holds(self) -> bool:
        """Whether all are as they were."""
        return all(_state(path) == was for path, was in self._was.items())


def of_this_process(*, thorough: bool) -> Stamp:
    """Of everything that has been imported so far, and that would be imported next.

    Of what is installed, whose files are replaced and not edited, the directories will do unless it is thorough: two
    dozen in place of three hundred files.
    """
    modules = {
        file
        for name, module in list(sys.modules.items())
        if (name.partition(".")[0] == _OURS[0] or name.startswith(_OURS[1])) and (file := module.__file__)
    }
    if not thorough:
        modules = {os.path.dirname(file) if _INSTALLED in file else file for file in modules}
    # Where packages are installed: their names are in it, so each that comes, goes or is replaced changes it.
    installed = {path for path in sys.path if path.endswith(_INSTALLED[:-1])}
    return Stamp({*modules, *installed, sys.executable, SYSTEM_CONFIG, f"{shipped_directory()}/plugins.toml"})


def _state(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
