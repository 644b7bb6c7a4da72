"""The program behind a runtime: how it is called, and what it says when it fails."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from cmanager.errors import CmanagerError, HostError, UnsupportedError
from cmanager.linux import programs
from cmanager.linux.values import frozen

_GONE = ("does not exist", "no such container", "not exist", "already finished", "not running", "no such process")


@frozen
class Tool:
    """name: of the runtime; path: of the program; arguments: before each verb; directory: for its state, on tmpfs.

    In the state directory the program has one of its own, `state`, beside what is here while a verb runs.
    """

    name: str
    path: str
    arguments: tuple[str, ...]
    directory: str

    def run(self, verb: str, *words: str, stdio: tuple[int, int, int] = (-1, -1, -1)) -> None:
        """Run one verb to its end; stdio: descriptors that the container inherits.

        Raises CmanagerError with what the program says, UnsupportedError without it.
        """
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
        except OSError as error:
            raise HostError.of("make the directory", self.directory, error) from None
        # Its own stderr may be the container's, so it is asked to write into a file.
        log = f"{self.directory}/log-{os.getpid()}-{verb}"
        head = [self.path, "--root", f"{self.directory}/state", "--log", log, "--log-format", "json"]
        try:
            done = self._started([*head, *self.arguments, verb, *words], stdio)
            if done.code:
                raise CmanagerError(
                    f"{self.name} {verb}: {_reason(log) or _last(done.err) or f'exit code {done.code}'}"
                )
        finally:
            with suppress(FileNotFoundError):
                os.unlink(log)

    def knows(self, id: str) -> bool:
        """Whether it keeps state of a container; a look at its directory, where each has names that begin so."""
        with suppress(FileNotFoundError):
            return any(name.startswith(id) for name in os.listdir(f"{self.directory}/state"))
        return False

    def says(self, *words: str) -> str:
        """What it writes for words that touch nothing, "" when it does not know them."""
        done = self._started([self.path, *words], (-1, -1, -1))
        return "" if done.code else done.out

    def _started(self, argv: list[str], stdio: tuple[int, int, int]) -> programs.Finished:
        try:
            return programs.run(argv, stdio=stdio)
        except OSError as error:
            raise self.missing(error) from None

    def missing(self, error: OSError) -> UnsupportedError:
        """The error to raise when there is no such program."""
        why = os.strerror(error.errno or 0).lower()
        hint = f"install it, or set path under [runtime.{self.name}] in plugins.toml"
        return UnsupportedError(f"runtime {self.name} needs the program {self.path}: {why}, {hint}")


def is_gone(error: CmanagerError) -> bool:
    """Whether a verb failed because there is no such container any more."""
    return any(words in str(error).lower() for words in _GONE)


def _reason(log: str) -> str:
    """The last error in a log of JSON lines."""
    found = ""
    with suppress(OSError), open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            with suppress(ValueError, AttributeError):
                entry = json.loads(line)
                if entry.get("level") in ("error", "fatal"):
                    found = " ".join(str(entry.get("msg", "")).split())
    return found


def _last(text: str) -> str:
    return " ".join((text.strip().splitlines() or [""])[-1].split())
