"""The conditions of a hook, all of which a container must meet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from cmanager.errors import InvalidError
from cmanager.linux.values import frozen

#: Where the manager itself binds files of the host.
_OURS = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/shm", "/sys")
#: POSIX has names for sets of characters within brackets, Python has not (regex(7)).
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


@frozen
class When:
    """None and empty are conditions that were not given. has_bind_mounts: whether host paths are mounted into it."""

    always: bool | None
    annotations: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]
    commands: tuple[re.Pattern[str], ...]
    has_bind_mounts: bool | None

    @classmethod
    def of(
        cls, always: bool | None, annotations: Iterable[tuple[str, str]], commands: Iterable[str], binds: bool | None
    ) -> When:
        """From expressions as text. InvalidError for one that is none."""
        pairs = tuple(
            (_compiled(key, "when.annotations"), _compiled(value, "when.annotations")) for key, value in annotations
        )
        return cls(always, pairs, tuple(_compiled(text, "when.commands") for text in commands), binds)

    def meets(self, spec: dict[str, Any]) -> bool:
        """Whether the container with this config.json meets all of them."""
        command = spec["process"]["args"][0]
        annotations = spec.get("annotations", {}).items()
        met = [
            any(key.search(name) and value.search(text) for name, text in annotations)
            for key, value in self.annotations
        ]
        if self.commands:
            met.append(any(pattern.search(command) for pattern in self.commands))
        if self.has_bind_mounts is not None:
            met.append(self.has_bind_mounts == any(map(_binds_host, spec.get("mounts", ()))))
        if self.always is not None:
            met.append(self.always)
        return bool(met) and all(met)


def _binds_host(mount: dict[str, Any]) -> bool:
    bound = mount.get("type") == "bind" or {"bind", "rbind"}.intersection(mount.get("options", ()))
    return bool(bound) and mount["destination"] not in _OURS


def _compiled(text: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(re.sub(r"\[:(\w+):\]", lambda found: _CLASSES[found[1]], text))
    except KeyError as error:
        raise InvalidError(f"{where}: {text!r} is no regular expression: unknown class [:{error.args[0]}:]") from None
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidError(f"{where}: {text!r} is no regular expression: {error}") from None
