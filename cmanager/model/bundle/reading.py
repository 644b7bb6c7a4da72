"""From a bundle's directory to its configuration."""

from __future__ import annotations

import json
from typing import Any

from ...errors import HostError, InvalidError
from . import sense, shape


def read(bundle: str) -> dict[str, Any]:
    """config.json of the bundle in this directory: types, ranges and words are those of the specification.

    A field that is null is left out. `linux.seccomp` is left to `check_filter`. Raises InvalidError that names the
    field, HostError when it is not there.
    """
    path = f"{bundle}/config.json"
    try:
        with open(path, "rb") as file:
            config = json.load(file, object_hook=_without_nulls)
    except OSError as error:
        raise HostError.of("read", path, error) from None
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"{path} is not json: {error}") from None
    try:
        shape.check(config)
        sense.check(config)
    except InvalidError as error:
        raise InvalidError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidError(f"{path} does not fit the runtime specification: {type(error).__name__} {error}") from None
    checked: dict[str, Any] = config
    return checked


def _without_nulls(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not None}
