"""`-v`, `--mount` and `--tmpfs`: from words to mounts and volumes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import attrs

from ..errors import InvalidError, UnsupportedError
from ..model import Mount, VolumeMount
from .output.human import parse_size

_FLAGS = {"ro", "rw", "nosuid", "nodev", "noexec", "suid", "dev", "exec"}
_PROPAGATION = {"private", "rprivate", "slave", "rslave", "shared", "rshared"}
_SYNONYMS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_TRUE, _FALSE = ("", "true", "1"), ("false", "0")


def parse(
    volumes: Iterable[str], mounts: Iterable[str], tmpfses: Iterable[str], driver: str = ""
) -> tuple[tuple[Mount, ...], tuple[VolumeMount, ...]]:
    """The three flags' values as mounts and volumes. driver: of volumes of the first, "" for the one that has them or
    the default one. Raises InvalidError, UnsupportedError."""
    given = [*map(volume, volumes)]
    if driver:
        given = [attrs.evolve(spot, driver=driver) if isinstance(spot, VolumeMount) else spot for spot in given]
        if not any(isinstance(spot, VolumeMount) for spot in given):
            raise InvalidError("--volume-driver needs a volume given with -v; --mount has volume-driver=STORAGE")
    found = (*given, *map(mount, mounts), *map(tmpfs, tmpfses))
    return (
        tuple(spot for spot in found if isinstance(spot, Mount)),
        tuple(spot for spot in found if isinstance(spot, VolumeMount)),
    )


def volume(text: str) -> Mount | VolumeMount:
    """`-v [HOST|VOLUME:]CONTAINER[:OPTIONS]`; a missing host directory is made, and so is a missing volume."""
    fields = text.split(":")
    if len(fields) > 3 or not all(fields[:2]):
        raise InvalidError(f"invalid --volume {text!r}, expected [HOST|VOLUME:]CONTAINER[:OPTIONS]")
    source, target = ("", fields[0]) if len(fields) == 1 else (fields[0], fields[1])
    named = not source.startswith(("/", "./", "../", "~")) and source not in (".", "..")
    options = [option for option in (fields[2].split(",") if len(fields) == 3 else []) if option]
    for option in options:
        known = _FLAGS | ({"nocopy", "copy"} if named else _PROPAGATION)
        if option not in known:
            said = "belongs to a host directory" if option in _PROPAGATION else "is unknown"
            said = "belongs to a volume" if option in ("nocopy", "copy") else said
            raise InvalidError(
                f"invalid --volume {text!r}: option {option!r} {said}, known are {', '.join(sorted(known))}"
            )
    if named:
        if "/" in source:
            raise InvalidError(f"invalid --volume {text!r}: a relative path begins with ./, a volume's name has no /")
        kept = tuple(option for option in options if option not in ("nocopy", "copy"))
        return VolumeMount(source, target, kept, copy="nocopy" not in options)
    propagation = [] if _PROPAGATION.intersection(options) else ["rprivate"]
    path = os.path.abspath(os.path.expanduser(source))
    return Mount("bind", path, target, ("rbind", *options, *propagation, "X-mount.mkdir"))


def mount(text: str) -> Mount | VolumeMount:
    """`--mount type=volume|bind|tmpfs,source=…,target=…[,readonly][,…]`, a line of CSV as in Docker."""
    given = _Given(text)
    kind = given.take("type", "volume")
    target = given.take("target")
    if not target:
        raise InvalidError(f"invalid --mount {text!r}: target is missing")
    makers: dict[str, Callable[[_Given, str], Mount | VolumeMount]] = {
        "volume": _volume,
        "bind": _bind,
        "tmpfs": _tmpfs,
    }
    if kind not in makers:
        raise InvalidError(f"invalid --mount {text!r}: type {kind!r} is unknown, known are {', '.join(makers)}")
    found = makers[kind](given, target)
    given.done(kind)
    return found


class _Given:
    """The keys and values of one --mount, each taken once."""

    def __init__(self, text: str) -> None:
        import csv

        self.text = text
        self.labels: dict[str, str] = {}
        self.options: dict[str, str] = {}
        self._values: dict[str, str | None] = {}
        try:
            fields = next(csv.reader([text], strict=True), [])
        except csv.Error as error:
            raise InvalidError(f"invalid --mount {text!r}: {error}") from None
        for part in fields:
            key, equals, value = part.partition("=")
            key = _SYNONYMS.get(key.strip().lower(), key.strip().lower())
            if key in ("volume-label", "volume-opt"):
                name, _, content = value.partition("=")
                if not name:
                    raise InvalidError(f"invalid --mount {text!r}: {key} expects KEY[=VALUE]")
                (self.labels if key == "volume-label" else self.options)[name] = content
            self._values[key] = value if equals else None

    def take(self, key: str, default: str = "") -> str:
        return self._values.pop(key, default) or ""

    def flag(self, key: str) -> bool:
        """A key that may stand alone."""
        if key not in self._values:
            return False
        value = (self.take(key)).lower()
        if value not in _TRUE + _FALSE:
            raise InvalidError(f"invalid --mount {self.text!r}: {key} is true or false, not {value!r}")
        return value in _TRUE

    def one_of(self, key: str, known: Iterable[str], default: str) -> str:
        value = self.take(key, default)
        if value not in known:
            raise InvalidError(f"invalid --mount {self.text!r}: {key} is one of {', '.join(sorted(known))}")
        return value

    def has(self, key: str) -> bool:
        return key in self._values

    def done(self, kind: str) -> None:
        """Nothing may be left over."""
        if self._values:
            key = next(iter(self._values))
            raise InvalidError(f"invalid --mount {self.text!r}: key {key!r} is unknown for type {kind}")


def _volume(given: _Given, target: str) -> VolumeMount:
    given.take("volume-label")
    given.take("volume-opt")
    source = given.take("source")
    subpath = given.take("volume-subpath")
    if subpath and (subpath.startswith("/") or ".." in subpath.split("/")):
        raise InvalidError(f"invalid --mount {given.text!r}: volume-subpath is a relative path without ..")
    if subpath and not source:
        raise InvalidError(f"invalid --mount {given.text!r}: volume-subpath needs a source, a new volume is empty")
    if "/" in source:
        raise InvalidError(f"invalid --mount {given.text!r}: source is a volume's name, for a path use type=bind")
    return VolumeMount(
        source,
        target,
        ("ro",) if given.flag("readonly") else (),
        copy=not given.flag("volume-nocopy"),
        subpath=subpath,
        driver=given.take("volume-driver"),
        labels=given.labels,
        driver_options=given.options,
    )


def _bind(given: _Given, target: str) -> Mount:
    source = given.take("source")
    if not source.startswith("/"):
        raise InvalidError(f"invalid --mount {given.text!r}: source must be an absolute path")
    options = ["ro"] if given.flag("readonly") else []
    propagation = given.one_of("bind-propagation", _PROPAGATION, "rprivate")
    alone = given.flag("bind-nonrecursive")
    modes = ("enabled", "disabled", "writable", "readonly")
    recursive = given.one_of("bind-recursive", modes, "disabled" if alone else "enabled")
    if recursive == "writable" and options:
        raise UnsupportedError(
            f"invalid --mount {given.text!r}: a read-only bind is read-only in all that is mounted below it, "
            "bind-recursive=writable is not possible"
        )
    if recursive == "readonly":
        if not options or propagation != "rprivate":
            raise InvalidError(f"invalid --mount {given.text!r}: bind-recursive=readonly needs readonly and rprivate")
        options.append("rro")
    return Mount("bind", source, target, ("bind" if recursive == "disabled" else "rbind", *options, propagation))


def _tmpfs(given: _Given, target: str) -> Mount:
    if given.has("source"):
        raise InvalidError(f"invalid --mount {given.text!r}: a tmpfs has no source")
    options = ["ro"] if given.flag("readonly") else []
    options += ["nosuid", "nodev", "noexec"]
    if size := given.take("tmpfs-size"):
        options.append(f"size={parse_size(size, '--mount tmpfs-size')}")
    if mode := given.take("tmpfs-mode"):
        options.append(f"mode={_octal(mode, given.text)}")
    return Mount("tmpfs", "tmpfs", target, tuple(options))


def tmpfs(text: str) -> Mount:
    """`--tmpfs PATH[:OPTIONS]`."""
    target, _, options = text.partition(":")
    given = []
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            given.append(f"size={parse_size(value, '--tmpfs size')}")
        elif key == "mode":
            given.append(f"mode={_octal(value, text)}")
        elif (key in ("uid", "gid", "nr_inodes") and value.isdigit()) or option in _FLAGS:
            given.append(option)
        else:
            raise InvalidError(f"invalid --tmpfs {text!r}: unknown option {option!r}")
    return Mount("tmpfs", "tmpfs", target, ("nosuid", "nodev", "noexec", *given))


def _octal(text: str, whole: str) -> str:
    try:
        return f"{int(text, 8) & 0o7777:o}"
    except ValueError:
        raise InvalidError(f"invalid mode {text!r} in {whole!r}, expected octal digits") from None
