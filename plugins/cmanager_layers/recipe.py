"""Recipes: what an image is made of, in TOML; every mistake names the file and the nearest known key."""

from __future__ import annotations

import difflib
import glob
import os
import re
from typing import Any

import tomli
from attrs import field

from cmanager.errors import HostError, InvalidError, NotFoundError
from cmanager.linux.values import frozen

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_LAYER_KEYS = ("busybox", "debian", "cmanager", "directories", "files")
_LISTS = {"cmd": "Cmd", "entrypoint": "Entrypoint", "env": "Env"}
_TEXTS = {"user": "User", "workdir": "WorkingDir"}
_WORD = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.+:~_-]*")
_KINDS = {bool: "true or false", dict: "a table", int: "a number", list: "a list", str: "text"}


@frozen
class Debian:
    """A bootstrapped Debian. suite, variant: mmdebstrap's words; include: further packages."""

    suite: str
    variant: str = "minbase"
    include: tuple[str, ...] = ()


@frozen
class LayerRecipe:
    """One layer; any of these together. busybox: the static program with a link for each of its commands; debian: a
    whole root; cmanager: directory to put this cmanager and what it imports in; directories: path to octal mode;
    files: path to content."""

    busybox: bool = False
    debian: Debian | None = None
    cmanager: str = ""
    directories: dict[str, int] = field(factory=dict)
    files: dict[str, str] = field(factory=dict)


@frozen
class Recipe:
    """One image. epoch: seconds, the time of every file, so that equal content has an equal digest; config: the
    execution part of the image configuration, by its OCI keys."""

    name: str
    about: str
    epoch: int
    config: dict[str, Any]
    layers: tuple[LayerRecipe, ...]


def load_all(directory: str) -> dict[str, Recipe]:
    """Every recipe of a directory, by name."""
    paths = sorted(glob.glob(f"{glob.escape(directory)}/*.toml"))
    return {os.path.basename(path).removesuffix(".toml"): load(path) for path in paths}


def choose(directory: str, names: tuple[str, ...]) -> tuple[Recipe, ...]:
    """The recipes of these names, all when there are none; NotFoundError names the nearest."""
    known = sorted(os.path.basename(p).removesuffix(".toml") for p in glob.glob(f"{glob.escape(directory)}/*.toml"))
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}" if close else f"known are {', '.join(known) or 'none'}"
            raise NotFoundError(f"no recipe {name!r} in {directory}, {hint}")
    return tuple(load(f"{directory}/{name}.toml") for name in names or known)


def load(path: str) -> Recipe:
    """One recipe; InvalidError for what is none."""
    try:
        with open(path, "rb") as file:
            data = tomli.load(file)
    except OSError as error:
        raise HostError.of("read recipe", path, error) from None
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidError(f"{path}: not TOML: {str(error).lower()}") from None
    name = os.path.basename(path).removesuffix(".toml")
    if not _NAME.fullmatch(name):
        raise InvalidError(f"{path}: {name!r} cannot be the name of an image")
    _known(path, data, ("about", "epoch", "config", "layer"))
    execution = _config(path, _get(path, data, "config", dict, {}))
    layers = tuple(_layer(path, layer) for layer in _get(path, data, "layer", list, []))
    if not layers:
        raise InvalidError(f"{path}: a recipe needs at least one [[layer]]")
    return Recipe(name, _get(path, data, "about", str, ""), _get(path, data, "epoch", int, 0), execution, layers)


def _config(path: str, config: dict[str, Any]) -> dict[str, Any]:
    _known(path, config, (*_LISTS, *_TEXTS, "labels"))
    execution: dict[str, Any] = {oci: _texts(path, config, key) for key, oci in _LISTS.items() if key in config}
    execution |= {oci: _get(path, config, key, str, "") for key, oci in _TEXTS.items() if key in config}
    for entry in execution.get("Env", ()):
        if "=" not in entry:
            raise InvalidError(f"{path}: env {entry!r} is not NAME=VALUE")
    if "labels" in config:
        labels = _get(path, config, "labels", dict, {})
        execution["Labels"] = {key: _get(path, labels, key, str, "") for key in labels}
    return execution


def _layer(path: str, data: Any) -> LayerRecipe:
    if not isinstance(data, dict):
        raise InvalidError(f"{path}: a layer must be a table")
    _known(path, data, _LAYER_KEYS)
    debian = None
    if "debian" in data:
        table = _get(path, data, "debian", dict, {})
        _known(path, table, ("suite", "variant", "include"))
        words = (
            _get(path, table, "suite", str, "stable"),
            _get(path, table, "variant", str, "minbase"),
            *_texts(path, table, "include"),
        )
        for word in words:
            if not _WORD.fullmatch(word):
                raise InvalidError(f"{path}: {word!r} is no name of a suite, a variant or a package")
        debian = Debian(words[0], words[1], tuple(words[2:]))
    files = _get(path, data, "files", dict, {})
    directories = {}
    for place, mode in _get(path, data, "directories", dict, {}).items():
        if not isinstance(mode, str) or not re.fullmatch(r"[0-7]{3,4}", mode):
            raise InvalidError(f"{path}: mode {mode!r} of {place} must be octal digits in quotes")
        directories[_place(path, place)] = int(mode, 8)
    return LayerRecipe(
        busybox=_get(path, data, "busybox", bool, False),
        debian=debian,
        cmanager=_place(path, data["cmanager"]) if "cmanager" in data else "",
        directories=directories,
        files={_place(path, place): _get(path, files, place, str, "") for place in files},
    )


def _place(path: str, place: Any) -> str:
    if not isinstance(place, str) or not place.startswith("/") or ".." in place.split("/"):
        raise InvalidError(f"{path}: {place!r} must be an absolute path")
    return place.strip("/")


def _get(path: str, table: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidError(f"{path}: {key} must be {_KINDS[kind]}, found {repr(value)[:60]}")
    return value


def _texts(path: str, table: dict[str, Any], key: str) -> list[str]:
    value: list[Any] = _get(path, table, key, list, [])
    if not all(isinstance(item, str) for item in value):
        raise InvalidError(f"{path}: {key} must be a list of texts, found {repr(value)[:60]}")
    return value


def _known(path: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]!r}" if close else f"known are {', '.join(known)}"
            raise InvalidError(f"{path}: unknown key {key!r}, {hint}")
