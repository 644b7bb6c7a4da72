"""The words that others see of a process (/proc/PID/cmdline), where it runs a command that it did not execute."""

from __future__ import annotations

import ctypes
import os
import sys

from ..linux.files import read_small

_ARG_START = 45  # of the fields in /proc/PID/stat behind the name; the next one is its end (proc_pid_stat(5))


class Title:
    """Where this process and its forks have their arguments in memory; found once."""

    def __init__(self) -> None:
        after = read_small("/proc/self/stat").rpartition(")")[2].split()
        self._start, end = (int(field) for field in after[_ARG_START : _ARG_START + 2])
        self._length = end - self._start
        own = b"".join(os.fsencode(word) + b"\0" for word in sys.orig_argv)
        if ctypes.string_at(self._start, self._length) != own:
            raise OSError(f"arguments of {len(own)} bytes are not at {self._start:#x}")

    def set(self, words: list[str]) -> None:
        """Show these words, as far as there is room for them."""
        data = b"\0".join(map(os.fsencode, words))[: self._length - 1]
        ctypes.memmove(self._start, data.ljust(self._length, b"\0"), self._length)
