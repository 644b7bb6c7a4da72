"""How a plugin is run: where, for how long it may think, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import field

from ..errors import InvalidError
from ..linux.values import frozen
from ..model.usage import Usage

ISOLATION = ("inline", "process")
ON_ERROR = ("fail", "skip")
#: MiB that a plugin's process may use.
MEMORY = 512
#: Seconds without an answer or a sign of progress after which a plugin counts as hung.
DEADLINE = 30.0
#: The same for importing it and making its provider.
LOAD = "load"
#: And for what may take long for good reasons, or must not take long.
DEADLINES = {
    LOAD: 10.0,
    "hooks.cmanager_amend": 5.0,
    "hooks.cmanager_event": 2.0,
    "image.build": 1800.0,
    "image.collect": 600.0,
    "image.extend": 600.0,
    "image.pull": 600.0,
    "image.push": 600.0,
    "limiter.usage": 5.0,
    "limiter.watched": 5.0,
    "storage.changes": 600.0,
    "storage.collect": 600.0,
    "storage.layer": 600.0,
    "storage.prepare": 600.0,
    "storage.remove": 120.0,
}
#: What stands for an answer where `on_error` is "skip". Whatever is not here has no answer that is safe: a container
#: would run without its network or its limits, and nobody had asked for that.
NEUTRAL: dict[str, Any] = {
    "hooks.cmanager_amend": None,
    "hooks.cmanager_event": None,
    "image.collect": 0,
    "limiter.owned": frozenset(),
    "limiter.remove": None,
    "limiter.usage": Usage(),
    "limiter.watched": (),
    "network.detach": None,
    "network.owned": frozenset(),
    "runtime.delete": None,
    "storage.attached": (),
    "storage.collect": 0,
    "storage.detach_volume": None,
    "storage.owned": frozenset(),
    "storage.remove": None,
    "storage.usage": 0,
    "storage.volume_usage": 0,
}


@frozen
class Policy:
    """How one plugin is run.

    isolation: "inline" (in the process that needs it), "process" (in one of its own), "" for what its origin says:
    plugins that came with cmanager are inline. deadlines: seconds by method, "" for all; on_error: "fail" or "skip" by
    method, "" for all that can be skipped; memory: bytes that its process may use.
    """

    isolation: str = ""
    deadlines: dict[str, float] = field(factory=dict)
    on_error: dict[str, str] = field(factory=dict)
    memory: int = MEMORY << 20

    def deadline(self, seam: str, method: str) -> float:
        """Seconds for one call."""
        default = DEADLINES.get(method if method == LOAD else f"{seam}.{method}", DEADLINE)
        return self.deadlines.get(method, self.deadlines.get("", default))

    def skipped(self, seam: str) -> set[str]:
        """Methods whose faults are warnings, and their answers the neutral ones."""
        can = (method for kind, _, method in (key.partition(".") for key in NEUTRAL) if kind == seam)
        return {method for method in can if self._skips(method)}

    def _skips(self, method: str) -> bool:
        default = "skip" if method == "cmanager_event" else "fail"
        return self.on_error.get(method, self.on_error.get("", default)) == "skip"


def parse(
    seam: str, table: dict[str, Any], at: Callable[[str], str], nearest: Callable[..., str]
) -> tuple[str, Policy]:
    """The module ("" for the entry point's) and the policy of a table under `[plugins]`; InvalidError.

    at: where a key stands, for messages; nearest: what to say of an unknown word among known ones.
    """
    from .calls import methods  # few plugins have a policy

    known = ("module", "isolation", "deadlines", "on_error", "memory")
    for key in table:
        if key not in known:
            raise InvalidError(f"{at(key)}: unknown key {key!r}{nearest(key, known)}")
    isolation = table.get("isolation", "")
    if isolation not in ("", *ISOLATION):
        raise InvalidError(f"{at('isolation')}: isolation is 'inline' or 'process', not {isolation!r}")
    deadlines = _by_method(seam, table, "deadlines", (LOAD, *methods(seam)), at, nearest)
    on_error = _by_method(seam, table, "on_error", methods(seam), at, nearest)
    for method, seconds in deadlines.items():
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86400:
            raise InvalidError(f"{at(method or 'deadlines')}: a deadline is a number of seconds from 0 to 86400")
    for method, word in on_error.items():
        if word not in ON_ERROR:
            raise InvalidError(f"{at(method or 'on_error')}: on_error is 'fail' or 'skip', not {word!r}")
        if method and word == "skip" and f"{seam}.{method}" not in NEUTRAL:
            raise InvalidError(f"{at(method)}: {method} of the {seam} seam cannot be skipped")
        if method == "cmanager_event" and word == "fail":
            raise InvalidError(f"{at(method)}: cmanager_event cannot fail anything, what it hears of has happened")
    memory = table.get("memory", MEMORY)
    if isinstance(memory, bool) or not isinstance(memory, int) or not 64 <= memory <= 1 << 20:
        raise InvalidError(f"{at('memory')}: memory is a number of MiB, at least 64")
    module = table.get("module", "")
    if not isinstance(module, str):
        raise InvalidError(f"{at('module')}: module must be a string")
    if isolation == "inline" and (deadlines or "memory" in table):
        key = "deadlines" if deadlines else "memory"
        raise InvalidError(f'{at(key)}: {key} needs isolation = "process", what runs inline cannot be ended')
    return module, Policy(isolation, {k: float(v) for k, v in deadlines.items()}, on_error, memory << 20)


def _by_method(
    seam: str,
    table: dict[str, Any],
    key: str,
    known: Iterable[str],
    at: Callable[[str], str],
    nearest: Callable[..., str],
) -> dict[str, Any]:
    """One value for all methods, or a table with one for each."""
    value = table.get(key, {})
    if not isinstance(value, dict):
        return {"": value}
    for method in value:
        if method not in known:
            raise InvalidError(f"{at(method)}: the {seam} seam has no method {method!r}{nearest(method, known)}")
    return value
