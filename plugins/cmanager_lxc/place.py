"""Where a container's LXC configuration lies, and what else of it is on the host."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress

import attrs

from cmanager.linux import files
from cmanager.linux.process import Process
from cmanager.linux.values import frozen

#: Where lxc puts its locks, whatever it is told (lxclock.c).
_LOCKS = "/run/lxc/lock"
_LINE = re.compile(r"^\S+ .* (ERROR|NOTICE)\s+\S+ - \S+:(\w+):\d+ - (.*)$")
#: What follows from an error that was told before it.
_CONSEQUENCES = ("lxc_setup", "do_start", "sync_wait", "__lxc_start", "main")


@frozen
class Place:
    """A directory of one container below `above`, which is what lxc calls its lxcpath.

    On the host there are files and empty directories in it; `stage` is covered by a tmpfs in the mounts of lxc alone.
    """

    above: str
    id: str

    @property
    def directory(self) -> str:
        return f"{self.above}/{self.id}"

    @property
    def config(self) -> str:
        """The LXC configuration."""
        return f"{self.directory}/config"

    @property
    def attach_config(self) -> str:
        """The same for lxc-attach, which would give the container's variables to every program."""
        return f"{self.directory}/attach"

    @property
    def seccomp(self) -> str:
        return f"{self.directory}/seccomp"

    @property
    def log(self) -> str:
        return f"{self.directory}/log"

    @property
    def stage(self) -> str:
        return f"{self.directory}/stage"

    @property
    def root(self) -> str:
        """The root file system with all that can be mounted in it beforehand."""
        return f"{self.stage}/root"

    @property
    def target(self) -> str:
        """Where lxc binds it before it changes the root."""
        return f"{self.directory}/root"

    def make(self) -> None:
        """Make the directories; raises OSError."""
        for directory in (self.above, self.directory, self.stage, self.target):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def remember(self, monitor: Process) -> None:
        """Write down which process is lxc-execute."""
        files.write_atomic(f"{self.directory}/monitor", json.dumps(attrs.astuple(monitor)).encode())

    def monitor(self) -> Process | None:
        """The lxc-execute of this container; None when there was none."""
        try:
            with open(f"{self.directory}/monitor", "rb") as file:
                return Process(*json.load(file))
        except (OSError, ValueError, TypeError):
            return None

    def remove(self) -> None:
        """Remove everything, lxc's lock too. Idempotent."""
        with suppress(FileNotFoundError):
            files.remove_tree(self.directory)
        lock = f"{_LOCKS}{self.above}/.{self.id}"
        with suppress(OSError):
            os.unlink(lock)
        while (lock := os.path.dirname(lock)).startswith(os.path.dirname(_LOCKS)):
            try:
                os.rmdir(lock)
            except OSError:
                return  # another container's is in it

    def said(self) -> str:
        """The whole log."""
        with suppress(OSError), open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()
        return ""

    def reason(self) -> str:
        """The first error in the log that is not another's consequence, in one line; "" without one."""
        found = ""
        for line in self.said().splitlines():
            match = _LINE.match(line)
            if match and match[1] == "ERROR" and not (found and match[2] in _CONSEQUENCES):
                found = found or match[3]
        return " ".join(found.split())

    def was_started(self) -> bool:
        """Whether the log tells that lxc's init was executed."""
        matches = map(_LINE.match, self.said().splitlines())
        return any(match and match[2] == "execute_post_start" for match in matches)
