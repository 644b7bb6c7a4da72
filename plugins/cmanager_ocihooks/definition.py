"""One file: which hook, when and at which stages; every mistake is told with the file's name."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable
from typing import Any

from cmanager.errors import InvalidError
from cmanager.linux.values import frozen
from cmanager.model.bundle.sense import HOOK_KINDS

from .conditions import When

_HOOK_KEYS = ("path", "args", "env", "timeout")
_WHEN_KEYS = ("always", "annotations", "commands", "hasBindMounts")


@frozen
class Definition:
    """hook: as in config.json; when: the conditions; stages: kinds of OCI hooks."""

    hook: dict[str, Any]
    when: When
    stages: tuple[str, ...]


def read(path: str, content: bytes) -> Definition:
    """The definition in a file. Raises InvalidError."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"{path} is not json: {' '.join(str(error).lower().split())}") from None
    if not isinstance(data, dict):
        raise InvalidError(f"{path}: expected an object")
    try:
        return _definition(data)
    except InvalidError as error:
        raise InvalidError(f"{path}: {error}") from None


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean …", or all that are known."""
    close = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {close[0]!r}" if close else f", known are {', '.join(known)}"


def _definition(data: dict[str, Any]) -> Definition:
    if "version" not in data and isinstance(data.get("hook"), str):
        raise InvalidError("version is missing: this is schema 0.1.0, write it as 1.0.0 (oci-hooks(5))")
    _known(data, ("version", "hook", "when", "stages"), "")
    for key in ("version", "hook", "when", "stages"):
        if key not in data:
            raise InvalidError(f"{key} is missing")
    if data["version"] != "1.0.0":
        raise InvalidError(f"version is {data['version']!r}, expected '1.0.0'")
    stages = _strings(data["stages"], "stages")
    for stage in stages:
        if stage not in HOOK_KINDS:
            raise InvalidError(f"unknown stage {stage!r}{nearest(stage, HOOK_KINDS)}")
    if not stages:
        raise InvalidError("stages is empty")
    hook = _hook(_object(data["hook"], "hook"), inside=set(stages) == {"startContainer"})
    return Definition(hook, _when(_object(data["when"], "when")), tuple(dict.fromkeys(stages)))


def _hook(data: dict[str, Any], *, inside: bool) -> dict[str, Any]:
    """inside: the program is looked up in the container (runtime-spec config.md), so nothing can be said of it here."""
    _known(data, _HOOK_KEYS, "hook.")
    path = data.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidError("hook.path must be the absolute path of a program")
    if not inside and not os.path.isfile(path):
        raise InvalidError(f"hook.path {path}: there is no such program")
    if not inside and not os.access(path, os.X_OK):
        raise InvalidError(f"hook.path {path} cannot be executed")
    _strings(data.get("args", []), "hook.args")
    for entry in _strings(data.get("env", []), "hook.env"):
        if "=" not in entry:
            raise InvalidError(f"hook.env: {entry!r} is not of the form NAME=VALUE")
    timeout = data.get("timeout", 1)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout <= 0:
        raise InvalidError("hook.timeout must be a number of seconds above 0")
    return data


def _when(data: dict[str, Any]) -> When:
    _known(data, _WHEN_KEYS, "when.")
    if not data:
        raise InvalidError(f"when is empty, give one of {', '.join(_WHEN_KEYS)}")
    for key in ("always", "hasBindMounts"):
        if not isinstance(data.get(key, False), bool):
            raise InvalidError(f"when.{key} must be true or false")
    pairs = _object(data.get("annotations", {}), "when.annotations")
    values = _strings(list(pairs.values()), "when.annotations")
    commands = _strings(data.get("commands", []), "when.commands")
    return When.of(data.get("always"), zip(pairs, values, strict=True), commands, data.get("hasBindMounts"))


def _known(data: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in known:
            raise InvalidError(f"unknown key {where + key!r}{nearest(key, known)}")


def _object(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidError(f"{where} must be an object")
    return data


def _strings(data: Any, where: str) -> list[str]:
    if not isinstance(data, list) or not all(isinstance(item, str) for item in data):
        raise InvalidError(f"{where} must hold strings")
    return data
