"""What of the limits that are asked for a limiter can apply: the rest is refused, or with `--limits lax` left out."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from ..errors import InvalidError, UnsupportedError
from ..model.limits import FIRST, Limits, flag
from ..seams import Cover

#: Never left out: without it a container would have the host's devices, or lie where nobody looks for it.
_NEEDED = ("devices", "parent")


def fit(limiter: Any, name: str, limits: Limits, *, lax: bool = False) -> tuple[Limits, tuple[str, ...]]:
    """The limits that can be applied, and a warning for each that was left out.

    name: the limiter's. Raises InvalidError for values that cannot be and, unless `lax`, UnsupportedError for limits
    that this limiter does not know or this host cannot apply.
    """
    try:
        _check(limiter, name, limits)
        return limits, ()
    except UnsupportedError:
        if not lax:
            raise
    given: dict[str, Any] = limits.given()
    kept = Limits(**{field: given[field] for field in _NEEDED if field in given})
    _check(limiter, name, kept)
    warnings = []
    for field, value in given.items():
        # Entry by entry: one disk of several may honour it.
        for entry in [] if field in _NEEDED else value if isinstance(value, tuple) else [value]:
            more: dict[str, Any] = {field: (*getattr(kept, field), entry) if isinstance(value, tuple) else entry}
            try:
                _check(limiter, name, wanted := evolve(kept, **more))
                kept = wanted
            except UnsupportedError as error:
                warnings.append(f"left out: {error}")
            except InvalidError:
                # The whole was valid: what it belongs to was left out.
                warnings.append(f"left out: {flag(field)} {entry}, with what it belongs to")
    return kept, tuple(warnings)


def _check(limiter: Any, name: str, limits: Limits) -> None:
    known = limiter.limits if isinstance(limiter, Cover) else FIRST
    unknown = [field for field in limits.given() if field not in known]
    if unknown:
        raise UnsupportedError(f"limiter {name} cannot honour {flag(unknown[0])}, it does not know this limit")
    limiter.check(limits)
