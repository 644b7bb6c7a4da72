"""What the installed systemd-nspawn can do; kept for each file, since asking costs a process."""

from __future__ import annotations

import re

from cmanager.errors import HostError, UnsupportedError
from cmanager.linux import programs
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
    return Features(_KINDS, _OPTIONS, version=version, notes=_NOTES, joins=())


def _version(path: str, directory: str) -> str:
    try:
        version = programs.remembered(f"{directory}/version.json", [path], [], lambda: _ask(path))
    except OSError as error:
        raise HostError.of("ask the version of", path, error) from None
    return str(version)


def _ask(path: str) -> str:
    said = re.match(r"systemd (\d+)(?: \(([^)]*)\))?", programs.run([path, "--version"]).out)
    return (said[2] or said[1]) if said else ""
