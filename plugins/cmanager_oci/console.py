"""The terminal of a container: taken from where the program sends it, and passed on to whoever asked."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from cmanager.linux import terminals

_PATIENCE = 10  # seconds, when the verb has ended well: it has been sent by then


class Console:
    """A socket that a runtime connects to (--console-socket); `pass_on` hands over what came, `close` removes it.

    path: for this process's children, through a descriptor of it: a socket's path has at most 107 bytes (unix(7)).
    """

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._directory = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.path = f"/proc/{os.getpid()}/fd/{self._directory}/console-{os.getpid()}"
        self._listener = socket.socket(socket.AF_UNIX)
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        try:
            self._listener.bind(self.path)
            self._listener.listen(1)
        except OSError:
            self.close()
            raise

    def pass_on(self, channel: int) -> None:
        """Send the terminal that came to the socket `channel`. Raises OSError, CmanagerError when none came."""
        self._listener.settimeout(_PATIENCE)
        end, _ = self._listener.accept()
        with end:
            end.settimeout(_PATIENCE)
            terminals.send(channel, terminals.receive(end))

    def close(self) -> None:
        """Idempotent."""
        self._listener.close()
        if self._directory >= 0:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
            os.close(self._directory)
            self._directory = -1
