"""Health checks: the request's laid over the image's (Docker's HEALTHCHECK, an extension of image-spec config.md)."""

from __future__ import annotations

from typing import Any

import attrs

from ..errors import InvalidError
from ..model.container import Healthcheck

_DEFAULTS = {"interval": 30.0, "timeout": 30.0, "retries": 3, "start_period": 0.0, "start_interval": 5.0}
_IMAGE_KEYS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "retries": "Retries",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
}
_NANOSECONDS = 10**9


def effective(asked: Healthcheck, image: dict[str, Any]) -> Healthcheck | None:
    """The check that a container has, without a None in it; None when it has none.

    image: the image's Healthcheck object, times in nanoseconds, zero for the default. Raises InvalidError for a test
    that is none.
    """
    test = asked.test or _test(image)
    if not test or test[0] == "NONE":
        return None
    if test[0] not in ("CMD", "CMD-SHELL") or len(test) < 2:
        raise InvalidError(f"invalid health check {' '.join(test)[:100]!r}, expected CMD or CMD-SHELL and a command")
    settled: dict[str, Any] = {
        field: default if (given := getattr(asked, field)) is None and not (given := _of_image(image, field)) else given
        for field, default in _DEFAULTS.items()
    }
    return attrs.evolve(asked, test=test, **settled)


def argv(check: Healthcheck) -> tuple[str, ...]:
    """What is executed."""
    return check.test[1:] if check.test[0] == "CMD" else ("/bin/sh", "-c", check.test[1])


def _test(image: dict[str, Any]) -> tuple[str, ...]:
    words = image.get("Test") or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InvalidError(f"invalid health check of the image: Test is {words!r:.60}")
    return tuple(words)


def _of_image(image: dict[str, Any], field: str) -> float:
    value = image.get(_IMAGE_KEYS[field]) or 0
    if not isinstance(value, int | float) or value < 0:
        raise InvalidError(f"invalid health check of the image: {_IMAGE_KEYS[field]} is {value!r:.40}")
    return value if field == "retries" else value / _NANOSECONDS
