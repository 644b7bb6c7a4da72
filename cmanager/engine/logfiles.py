"""The files of one container's log, read as one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import HostError
from ..supervisor.log import Record, decode


class LogFiles:
    """Reads on from wherever it stopped, across rotations; nothing twice, and nothing left out that still exists.

    path: of the file that is written to. A file that was opened is read to its end even when it was removed meanwhile.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._waiting: list[BinaryIO] = []  # oldest first; the last is never finished

    def records(self) -> Iterator[Record]:
        """All that is there and was not read yet. Raises HostError."""
        while True:
            if self._waiting:
                yield from decode(self._waiting[0])
            newer = self._newer()
            if self._waiting:
                if len(self._waiting) == 1 and not newer:
                    return
                # Nothing is written to it any more, but something may have been before it was moved.
                yield from decode(self._waiting[0])
                self._waiting.pop(0).close()
            elif not newer:
                return
            self._waiting += newer

    def close(self) -> None:
        """Close the files."""
        while self._waiting:
            self._waiting.pop().close()

    def _newer(self) -> list[BinaryIO]:
        """What came after the last file that is known, oldest first.

        Looked for from the newest on: a file that is renamed meanwhile goes where it has not been looked for yet, and
        may be met again there. An inode that is open is not given to another file.
        """
        known = os.fstat(self._waiting[-1].fileno()).st_ino if self._waiting else -1
        found: dict[int, BinaryIO] = {}
        number = 0
        while True:
            try:
                file = open(f"{self._path}.{number}" if number else self._path, "rb")  # noqa: SIM115 - kept
            except FileNotFoundError:
                if number >= self._highest():
                    break
            except OSError as error:
                raise HostError.of("read the log", self._path, error) from None
            else:
                inode = os.fstat(file.fileno()).st_ino
                if inode == known or inode in found:
                    file.close()
                else:
                    found[inode] = file
                if inode == known:
                    break
            number += 1
        return list(found.values())[::-1]

    def _highest(self) -> int:
        """Number of the oldest file."""
        directory, _, name = self._path.rpartition("/")
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return 0
        numbers = [other.removeprefix(f"{name}.") for other in names if other.startswith(f"{name}.")]
        return max((int(number) for number in numbers if number.isdigit()), default=0)
