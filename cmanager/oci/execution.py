"""The OCI process object of one more program in a running container."""

from __future__ import annotations

import json
import os
from typing import Any

from ..errors import CorruptError, HostError, InvalidError, NotFoundError
from ..linux import capabilities
from ..linux.process import Process
from ..model.container import ExecRequest
from . import users


def check(request: ExecRequest) -> None:
    """InvalidError for a request that makes no sense; before anything is looked at."""
    if not request.command or not request.command[0]:
        raise InvalidError("exec needs a command")
    if request.workdir and not request.workdir.startswith("/"):
        raise InvalidError(f"invalid working directory {request.workdir!r}, it must be absolute")
    for entry in request.env:
        if not entry.partition("=")[0] or "\0" in entry:
            raise InvalidError(f"invalid environment variable {entry[:100]!r}, expected NAME=VALUE")


def process(bundle: str, init: Process, request: ExecRequest) -> dict[str, Any]:
    """The container's own process, changed by what is asked.

    bundle: the running container's; init: its first process. Raises InvalidError for an unknown user, NotFoundError
    when the container is gone, CorruptError.
    """
    check(request)
    found = _configured(bundle)
    environment = dict(entry.partition("=")[::2] for entry in found["env"])
    if request.tty:
        environment.setdefault("TERM", "xterm")
    if request.user:
        user = _user(init, request.user)
        found["user"] |= {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}
        environment["HOME"] = user.home
    environment |= dict(entry.partition("=")[::2] for entry in request.env)
    _grant(found, request.privileged)
    return found | {
        "args": list(request.command),
        "env": [f"{key}={value}" for key, value in environment.items()],
        "cwd": request.workdir or found["cwd"],
        "terminal": request.tty,
    }


def _configured(bundle: str) -> dict[str, Any]:
    path = f"{bundle}/config.json"
    try:
        with open(path, "rb") as file:
            found: dict[str, Any] = json.load(file)["process"]
    except OSError as error:
        raise HostError.of("read", path, error) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{path} is corrupt: {error}, restart the container") from None
    return found


def _user(init: Process, text: str) -> users.User:
    """From the passwd file that the container has now, which may be a mount of its own."""
    try:
        root = os.open(f"/proc/{init.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError.of("open the root of process", str(init.pid), error) from None
    try:
        # Asked after it was opened: the root belongs to the process that was meant.
        if not init.alive():
            raise NotFoundError(f"process {init.pid} of the container is gone")
        return users.resolve(root, text)
    finally:
        os.close(root)


def _grant(found: dict[str, Any], privileged: bool) -> None:
    """The container's capabilities are root's; a user's program starts without, as at the container's start."""
    if privileged and "noNewPrivileges" in found:
        found["noNewPrivileges"] = False
    if "capabilities" not in found:
        return  # its runtime gives root what root has
    bounding = found["capabilities"]["bounding"]
    if privileged:
        bounding = list(capabilities.names(capabilities.of_process()["CapBnd"]))
    kept = bounding if found["user"]["uid"] == 0 or privileged else []
    found["capabilities"] |= {"bounding": bounding, "permitted": kept, "effective": kept}
