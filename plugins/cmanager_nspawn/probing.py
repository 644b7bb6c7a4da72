"""What the installed systemd-nspawn can do; kept for each file, since asking costs a process."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress

from cmanager.errors import UnsupportedError
from cmanager.linux import files, programs
from cmanager.model import Features

_OLDEST = 242  # the first with --oci-bundle
_OPTIONS = ("capabilities", "devices", "masked_paths", "network", "no_new_privileges", "rlimits", "user")
_KINDS = ("mount", "pid", "ipc", "uts", "cgroup")
_NOTES = (
    "variables are added to the environment: container, container_uuid, HOME, USER, LOGNAME, LANG, NOTIFY_SOCKET",
    "of seccomp there is no filter, neither the container's nor systemd-nspawn's own",
)


def find(name: str) -> str:
    """The program's path; UnsupportedError with what to do."""
    try:
        return programs.find(name)
    except FileNotFoundError:
        hint = "install it (Debian: systemd-container), or set path under [runtime.nspawn] in plugins.toml"
        raise UnsupportedError(f"runtime nspawn needs the program {name}: not found, {hint}") from None


def probed(path: str, directory: str) -> Features:
    """The features of the program at `path`; its version is from a file in `directory` when it was asked before."""
    version = _version(path, directory)
    number = re.match(r"\d+", version)
    if not number or int(number[0]) < _OLDEST:
        raise UnsupportedError(
            f"runtime nspawn: {path} is version {version or 'unknown'}, {_OLDEST} is the oldest known"
        )
    return Features(_KINDS, _OPTIONS, version=version, notes=_NOTES, joins=("network",))


def _version(path: str, directory: str) -> str:
    found = os.stat(path)
    key = [path, found.st_ino, found.st_size, found.st_mtime_ns]
    kept_at = f"{directory}/version.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        with open(kept_at, encoding="utf-8") as file:
            kept = json.load(file)
        if kept["key"] == key:
            return str(kept["version"])
    said = re.match(r"systemd (\d+)(?: \(([^)]*)\))?", programs.run([path, "--version"]).out)
    version = (said[2] or said[1]) if said else ""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    files.write_atomic(kept_at, json.dumps({"key": key, "version": version}).encode())
    return version
