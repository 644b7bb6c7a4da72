"""Instructions of a Dockerfile that change an image's configuration (`commit --change`)."""

from __future__ import annotations

import difflib
import json
import posixpath
import re
import shlex
from collections.abc import Callable

import attrs

from ..errors import InvalidError
from ..model.image import ImageConfig
from ..oci import signals

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
_SHELL = ("/bin/sh", "-c")


def apply(config: ImageConfig, instructions: tuple[str, ...]) -> ImageConfig:
    """The configuration after the instructions, in their order; InvalidError names the one that is none."""
    for text in instructions:
        word, _, rest = text.strip().partition(" ")
        act = _KNOWN.get(word.upper())
        if act is None:
            near = difflib.get_close_matches(word.upper(), _KNOWN, 1)
            hint = f"did you mean {near[0]}" if near else f"known are {', '.join(_KNOWN)}"
            raise InvalidError(f"unknown instruction {word[:60]!r} in --change, {hint}")
        rest = rest.strip()
        if not rest:
            raise InvalidError(f"--change {word.upper()} needs a value")
        try:
            config = act(config, rest)
        except ValueError as error:
            said = str(error)
            raise InvalidError(f"invalid --change {text[:200]!r}: {said[:1].lower()}{said[1:]}") from None
    return config


def _cmd(config: ImageConfig, text: str) -> ImageConfig:
    return attrs.evolve(config, cmd=_command(text))


def _entrypoint(config: ImageConfig, text: str) -> ImageConfig:
    return attrs.evolve(config, entrypoint=_command(text))


def _env(config: ImageConfig, text: str) -> ImageConfig:
    merged = dict(entry.partition("=")[::2] for entry in config.env) | _pairs(text)
    return attrs.evolve(config, env=tuple(f"{key}={value}" for key, value in merged.items()))


def _label(config: ImageConfig, text: str) -> ImageConfig:
    return attrs.evolve(config, labels=config.labels | _pairs(text))


def _workdir(config: ImageConfig, text: str) -> ImageConfig:
    return attrs.evolve(config, working_dir=posixpath.normpath(posixpath.join("/", config.working_dir, text)))


def _user(config: ImageConfig, text: str) -> ImageConfig:
    if len(text.split()) != 1:
        raise ValueError("expected NAME|UID[:GROUP|GID]")
    return attrs.evolve(config, user=text)


def _expose(config: ImageConfig, text: str) -> ImageConfig:
    ports = dict.fromkeys(config.exposed_ports)
    for word in text.split():
        match = _PORT.fullmatch(word)
        if not match:
            raise ValueError(f"{word!r} is no port, expected PORT[-PORT][/tcp|udp|sctp]")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 < first <= last < 65536:
            raise ValueError(f"{word!r} is no port from 1 to 65535")
        ports |= {f"{number}/{match[3] or 'tcp'}": None for number in range(first, last + 1)}
    return attrs.evolve(config, exposed_ports=tuple(ports))


def _volume(config: ImageConfig, text: str) -> ImageConfig:
    paths = _listed(text) if text.startswith("[") else tuple(shlex.split(text))
    if not all(path.startswith("/") for path in paths):
        raise ValueError("a volume must be an absolute path")
    return attrs.evolve(config, volumes=tuple(dict.fromkeys((*config.volumes, *paths))))


def _stop_signal(config: ImageConfig, text: str) -> ImageConfig:
    signals.number_of(text)
    return attrs.evolve(config, stop_signal=text)


def _command(text: str) -> tuple[str, ...]:
    """A JSON array as it is, anything else for the shell."""
    return _listed(text) if text.startswith("[") else (*_SHELL, text)


def _listed(text: str) -> tuple[str, ...]:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError("expected a JSON array of strings")
    return tuple(found)


def _pairs(text: str) -> dict[str, str]:
    """`KEY=value …` with quotes, or `KEY the rest of the line`."""
    words = shlex.split(text)
    if "=" not in words[0]:
        key, space, value = text.partition(" ")
        if not space:
            raise ValueError("expected KEY=VALUE")
        return {key: value.strip()}
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise ValueError(f"{word!r} is not KEY=VALUE")
        pairs[key] = value
    return pairs


_KNOWN: dict[str, Callable[[ImageConfig, str], ImageConfig]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
