"""Which files count, and in which order."""

from __future__ import annotations

import os
import stat
from typing import Any

from cmanager.errors import HostError, InvalidError, NotFoundError

from .definition import Definition, nearest, read

#: A file of a later directory replaces one of the same name; these need not be there.
DIRECTORIES = ("/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d")
_LIMIT = 1 << 20


def hooks(spec: dict[str, Any], options: dict[str, Any]) -> dict[str, tuple[dict[str, Any], ...]]:
    """OCI hooks by kind for a container with this config.json. options: of the plugin.

    All files are read and checked, also those that do not concern this container. Raises InvalidError, NotFoundError
    and HostError; each names the file.
    """
    found: dict[str, tuple[dict[str, Any], ...]] = {}
    for definition in _definitions(options):
        if definition.when.meets(spec):
            for stage in definition.stages:
                found[stage] = (*found.get(stage, ()), definition.hook)
    return found


def _definitions(options: dict[str, Any]) -> list[Definition]:
    files: dict[str, str] = {}
    for directory, needed in _directories(options):
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            if needed:
                raise NotFoundError(f"there is no directory of OCI hooks {directory}, make it first") from None
            continue
        except OSError as error:
            raise HostError.of("list OCI hooks in", directory, error) from None
        _check_owner(directory)
        files |= {name: f"{directory}/{name}" for name in names if name.endswith(".json")}
    # oci-hooks(5): by lower-case name; those that differ in case alone need some order too.
    return [read(files[name], _content(files[name])) for name in sorted(files, key=lambda name: (name.lower(), name))]


def _directories(options: dict[str, Any]) -> list[tuple[str, bool]]:
    """Each with whether it must be there."""
    for key in options:
        if key != "directories":
            raise InvalidError(f"[hooks] options of OCI hooks: unknown key {key!r}{nearest(key, ('directories',))}")
    given = options.get("directories")
    if given is None:
        return [(directory, False) for directory in DIRECTORIES]
    if not isinstance(given, list) or not all(isinstance(path, str) and path.startswith("/") for path in given):
        raise InvalidError("[hooks] options of OCI hooks: directories must be a list of absolute paths")
    return [(directory, True) for directory in given]


def _content(path: str) -> bytes:
    try:
        _check_owner(path)
        with open(path, "rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise HostError.of("read the OCI hook", path, error) from None
    if len(content) > _LIMIT:
        raise InvalidError(f"{path}: larger than {_LIMIT} bytes")
    return content


def _check_owner(path: str) -> None:
    """What it names is run as root."""
    info = os.stat(path)
    if info.st_uid not in (0, os.geteuid()) or info.st_mode & stat.S_IWOTH:
        raise InvalidError(f"OCI hooks of {path} are not trusted: it must belong to root and not be writable by others")
