"""What a plugin's process prints, kept for its author."""

from __future__ import annotations

import os
from contextlib import suppress

_MOST = 1 << 20


class Log:
    """A file of at most a mebibyte, and one as long with what was before. path: where; its directory is made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._last = ""

    def write(self, text: bytes) -> None:
        """Append. A disk that is full costs what was printed, nothing else."""
        lines = text.decode("utf-8", "replace").split("\n")
        self._last = next((line.strip() for line in reversed(lines) if line.strip()), self._last)
        with suppress(OSError):
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                if os.fstat(fd).st_size > _MOST:
                    os.replace(self.path, f"{self.path}.1")
                os.write(fd, text)
            finally:
                os.close(fd)

    def where(self, *, quoted: bool = True) -> str:
        """For the end of a message: where to read what it has said, and its last line; "" when it has said nothing."""
        last = f", its last line: {self._last[:200]!r}" if quoted else ""
        return f"{last}, its log: {self.path}" if self._last else ""
