"""What the words of `cmanager pod`, and `--pod`, mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidError

if TYPE_CHECKING:
    from ..engine import Engine

_KINDS = {"net": "network", "ipc": "ipc", "uts": "uts"}
_DEFAULTS = {"shm_size": "64m"}


def shared(text: str) -> tuple[str, ...]:
    """`--share`: kinds of namespaces, in the runtime specification's words. Raises InvalidError."""
    words = [word.strip() for word in text.split(",")]
    if words in ([""], ["none"]):
        return ()
    for word in words:
        if word not in _KINDS:
            raise InvalidError(f"invalid --share {word!r}, expected of {', '.join(_KINDS)}, or none")
    return tuple(kind for word, kind in _KINDS.items() if word in words)


def meant(
    engine: Engine, verb: str, words: tuple[str, ...], everything: bool, *, corrupt: bool = False
) -> tuple[str, ...]:
    """The pods that a command is about. corrupt: those too whose record cannot be read, with --all."""
    if everything:
        broken = tuple(engine.pods.corrupt()) if corrupt else ()
        return (*(entry.pod.id for entry in engine.pods.entries()), *broken)
    if not words:
        raise InvalidError(f"pod {verb} needs at least one pod, or --all")
    return words


def check_defaults(given: Mapping[str, Any]) -> None:
    """Refuse `--ipc private` and the like beside --pod, which say what the default does and ask for what no pod grants.

    given: the options of the command that is run now. What differs from the default, the engine refuses.
    """
    context = click.get_current_context(silent=True)
    if context is None or not given["pod"]:
        return
    for name, default in _DEFAULTS.items():
        said = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        new_pods = name == "shm_size" and given["pod"].startswith("new:")
        if said and given[name] == default and not new_pods:
            flag = f"--{name.replace('_', '-')}"
            raise InvalidError(f"{flag} and --pod exclude each other: what a pod shares, `pod create` was told")
