"""The program sink: a program of the host that reads JSON lines on its stdin.

It is started with the first line, in a pid namespace of its own: when it is killed, all that it has started goes too,
and it is killed when the supervisor dies. What it has not read when it ends is handed to the one that is started next.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import signal
import stat
import time
from contextlib import suppress

from ...errors import CmanagerError, InvalidError, NotFoundError, UnsupportedError
from ...linux import programs, syscalls
from .file import JsonSink
from .sink import Source

#: Seconds between two starts of a program that ends by itself: the first, and the longest after doubling.
SHORTEST, LONGEST = 0.5, 30.0
#: Seconds after which a program that ended counts as one that worked.
_WELL = 10.0
_SAID = 300
_CHUNK = 1 << 16
#: Bytes that the pipe may hold: what an ordinary process may ask for (pipe(7)).
_PIPE = 1 << 20
#: No message holds these bytes but at its beginning, because JSON escapes quotes in text.
_BEGIN = b'{"log":'


class ProgramSink(JsonSink):
    """JSON lines for a program, and the program. said: the last line of its stderr, or why there is none; pid: 0 while
    it does not run."""

    def __init__(self, path: str, source: Source) -> None:
        super().__init__(path, source)
        self.said = ""
        self.pid = 0
        self._env = {
            "PATH": programs.SYSTEM_PATH,
            "CONTAINER_ID": source.id,
            "CONTAINER_NAME": source.name,
            "IMAGE_NAME": source.image,
        }
        self._pidfd = self._input = self._errors = -1
        self._line = b""
        self._pause, self._began, self._not_before = SHORTEST, 0.0, 0.0

    def open(self) -> int:
        """Start the program. BlockingIOError while it is too early for that."""
        now = time.monotonic()
        if self.pid or now < self._not_before:
            raise BlockingIOError
        self._not_before, self._began = now + self._pause, now
        self._pause = min(2 * self._pause, LONGEST)
        ours, write = os.pipe2(os.O_CLOEXEC)
        errors, theirs = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        try:
            self.pid = self._spawn((ours, null, theirs))
            self._pidfd = os.pidfd_open(self.pid)
        except OSError as error:
            self.said = f"it cannot be executed: {(error.strerror or str(error)).lower()}"
            for fd in (ours, write, errors):
                os.close(fd)
            raise
        finally:
            os.close(theirs)
            os.close(null)
        with suppress(OSError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE)
        os.set_blocking(write, False)
        os.set_blocking(errors, False)
        self._input, self._errors = ours, errors
        return write

    @property
    def heard(self) -> tuple[int, ...]:
        """Descriptors to poll until one is readable: then there is something for `listen`."""
        return tuple(fd for fd in (self._pidfd, self._errors) if fd >= 0)

    def listen(self) -> bool:
        """Take what it says on stderr; True when it has ended, until `bury` was called."""
        with suppress(BlockingIOError):
            chunk = os.read(self._errors, _CHUNK) if self._errors >= 0 else b""
            if chunk:
                self._hear(chunk)
            elif self._errors >= 0:
                os.close(self._errors)
                self._errors = -1
        return self._pidfd >= 0 and bool(select.select([self._pidfd], [], [], 0)[0])

    def bury(self) -> list[tuple[bytes, int]]:
        """After its end: the messages it has not read, each with the bytes of its line."""
        with suppress(BlockingIOError):
            while self._errors >= 0 and (chunk := os.read(self._errors, _CHUNK)):
                self._hear(chunk)
        self._hear(b"\n")
        with suppress(ChildProcessError):
            ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            if ended and ended.si_status and self._began and not self.said:
                how = "exit code" if ended.si_code == os.CLD_EXITED else "signal"
                self.said = f"it ended with {how} {ended.si_status}"
        if time.monotonic() - self._began > _WELL:
            self._pause = SHORTEST
        left = b""
        os.set_blocking(self._input, False)  # nobody else reads there any more
        with suppress(BlockingIOError):
            while chunk := os.read(self._input, _CHUNK):
                left += chunk
        for fd in (self._pidfd, self._input, self._errors):
            if fd >= 0:
                os.close(fd)
        self.pid, self._pidfd, self._input, self._errors = 0, -1, -1, -1
        return _messages(left)

    def kill(self) -> None:
        """End it and all that it has started; `listen` tells when it has."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _spawn(self, stdio: tuple[int, int, int]) -> int:
        try:
            held = programs.Held(
                (self._path,), stdio, env=self._env, prepare=_die_with_parent, flags=syscalls.CLONE_NEWPID
            )
        except CmanagerError as error:
            raise OSError(0, str(error)) from None
        held.release()
        return held.pid

    def _hear(self, chunk: bytes) -> None:
        *whole, self._line = (self._line + chunk).split(b"\n")
        self._line = self._line[:_SAID]
        for line in reversed(whole):
            if line.strip():
                self.said = line.strip()[:_SAID].decode("utf-8", "replace")
                return


def check(path: str) -> None:
    """Refuse what cannot be executed; starts nothing."""
    if not path.startswith("/"):
        raise InvalidError(f"invalid log sink program:{path}, the path must be absolute")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise NotFoundError(f"cannot log to program {path}: there is none") from None
    except OSError as error:
        raise UnsupportedError(f"cannot log to program {path}: {(error.strerror or '').lower()}") from None
    if not stat.S_ISREG(mode) or not os.access(path, os.X_OK):
        raise UnsupportedError(f"cannot log to program {path}: it cannot be executed, see chmod +x")


def _die_with_parent() -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _messages(left: bytes) -> list[tuple[bytes, int]]:
    """The whole messages in what was not read: the reader has begun the first, and the last is whole elsewhere."""
    if not left.startswith(_BEGIN):
        left = left.partition(b"\n")[2]
    return [(line + b"\n", _length(line)) for line in left.split(b"\n")[:-1]]


def _length(message: bytes) -> int:
    entry = json.loads(message)
    return len(base64.b64decode(entry["bytes"]) if "bytes" in entry else entry["log"].encode())
