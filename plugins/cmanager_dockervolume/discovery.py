"""Where a plugin listens, by the rules of Docker: a socket of its name, or a file that names one."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator

from cmanager.errors import HostError, InvalidError, NotFoundError, UnsupportedError

_LIMIT = 1 << 16


def socket_of(name: str, sockets: tuple[str, ...], specs: tuple[str, ...]) -> str:
    """Path of the socket at which plugin `name` listens; the first that is found counts.

    Raises NotFoundError (it names where was looked), InvalidError for a file that makes no sense, UnsupportedError for
    an address that is no unix socket, HostError.
    """
    for path in _candidates(sockets, name, ".sock"):
        if _is_socket(path):
            return path
    for path in _candidates(specs, name, ".spec", ".json"):
        if os.path.exists(path):
            return _path(_address(path), path)
    places = ", ".join((*sockets, *specs))
    raise NotFoundError(f"no docker volume plugin {name!r} in {places}: start it, or see whether its name is right")


def _candidates(directories: tuple[str, ...], name: str, *endings: str) -> Iterator[str]:
    for directory in directories:
        for ending in endings:
            yield f"{directory}/{name}{ending}"
            yield f"{directory}/{name}/{name}{ending}"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _address(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LIMIT)
    except OSError as error:
        raise HostError.of("read", path, error) from None
    try:
        address = json.loads(content)["Addr"] if path.endswith(".json") else content.decode().strip()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidError(f"{path} names no address of a plugin, expected an object with Addr") from None
    if not isinstance(address, str):
        raise InvalidError(f"{path} names no address of a plugin, Addr must be a string")
    return address


def _path(address: str, file: str) -> str:
    scheme, separator, rest = address.partition("://")
    if separator and scheme == "unix" and rest.startswith("/"):
        return rest
    if separator and scheme in ("tcp", "http", "https"):
        raise UnsupportedError(f"{file}: plugins are spoken to at unix:///PATH only, not at {address[:200]!r}")
    raise InvalidError(f"{file}: {address[:200]!r} is no address of a plugin, expected unix:///PATH")
