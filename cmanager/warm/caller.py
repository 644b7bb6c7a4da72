"""Whether a caller is one whom this server can stand in for: what a process cannot take over must be the same.

Namespaces, root directory, user, capabilities, no_new_privs, seccomp, the label of a security module, personality, and
what the interpreter was started with. All but the last is read from the caller's /proc (proc_pid(5)).
"""

from __future__ import annotations

import os
import sys
from typing import Any

from ..linux.files import read_small
from ..linux.values import frozen
from .request import Refused, Request

#: Of /proc/PID/status: what must be the same, with what it is called here.
_SAME = {
    "Uid": "user",
    "Gid": "group",
    "NoNewPrivs": "no_new_privs",
    "Seccomp": "seccomp mode",
    "Seccomp_filters": "number of seccomp filters",
    **{f"Cap{kind}": "set of capabilities" for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
}
#: Variables that change nothing that a worker does not do by itself.
_HARMLESS = (b"PYTHONDONTWRITEBYTECODE", b"PYTHONUNBUFFERED", b"PYTHONSAFEPATH", b"PYTHONHASHSEED", b"PYTHONNOUSERSITE")
_READ_AT_START = (b"PYTHON", b"LD_", b"MALLOC_", b"GLIBC_")


@frozen
class Standing:
    """What a process is and cannot become. status: the lines of its /proc/PID/status by their names."""

    namespaces: dict[str, int]
    root: tuple[str, int, int]
    label: str
    personality: str
    status: dict[str, str]

    @classmethod
    def of(cls, pid: int | str) -> Standing:
        """That of a process that runs. Raises OSError when it is gone, or may not be looked at."""
        place = f"/proc/{pid}"
        return cls(
            namespaces={name: os.stat(f"{place}/ns/{name}").st_ino for name in _namespaces()},
            root=_root(f"{place}/root"),
            label=_label(place),
            personality=read_small(f"{place}/personality"),
            status=dict(_lines(read_small(f"{place}/status"))),
        )

    def check(self, caller: Standing) -> None:
        """Return when whoever has this standing can stand in for the caller; Refused says why not."""
        for name, number in self.namespaces.items():
            if caller.namespaces[name] != number:
                raise Refused(f"it is in another {name} namespace")
        if caller.root != self.root:
            raise Refused("it has another root directory")
        if (caller.label, caller.personality) != (self.label, self.personality):
            raise Refused("it has another security label or personality")
        for key, what in _SAME.items():
            if caller.status.get(key) != self.status.get(key):
                raise Refused(f"it has another {what}")


def check_interpreter(request: Request, started_with: dict[bytes, bytes]) -> None:
    """Return when the caller's interpreter would be as this one is. started_with: this one's environment then.

    Raises Refused.
    """
    if request.encoding.split()[0] != sys.getfilesystemencoding():
        raise Refused("its locale has another encoding")
    for key in {*_of_start(request.environment), *_of_start(started_with)}:
        if request.environment.get(key) != started_with.get(key):
            raise Refused(f"it has another value of {os.fsdecode(key)}")
        if key.startswith(b"PYTHON") and key != b"PYTHONPATH":
            raise Refused(f"it has set {os.fsdecode(key)}")  # this interpreter is an isolated one


def _of_start(environment: dict[bytes, bytes]) -> set[bytes]:
    return {key for key in environment if key.startswith(_READ_AT_START) and key not in _HARMLESS}


def _root(path: str) -> tuple[str, int, int]:
    """Its path, "/" where it is ours, and the directory behind it."""
    found = os.stat(path)
    return os.readlink(path), found.st_dev, found.st_ino


def _namespaces() -> list[str]:
    return os.listdir("/proc/self/ns")


def _label(place: str) -> str:
    try:
        return read_small(f"{place}/attr/current")
    except OSError:  # EINVAL: no module has labels
        return ""


def _lines(text: str) -> Any:
    return (line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
