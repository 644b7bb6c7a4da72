"""CMANAGER_TRACE: each call of a plugin, with its arguments, its time and its result."""

from __future__ import annotations

import os
import time
from typing import Any

from .calls import Call

#: "1" for stderr, or the path of a file that lines are appended to.
VARIABLE = "CMANAGER_TRACE"
_LENGTH = 60


def traced(plugin: str, call: Call) -> Call:
    """The same call, told of when it ends. plugin: "SEAM.NAME"."""

    def tracing(method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        began = time.monotonic()
        try:
            answer = call(method, arguments, named)
        except BaseException as error:
            _tell(plugin, method, arguments, named, f"raised {type(error).__name__}: {error}", began)
            raise
        _tell(plugin, method, arguments, named, f"-> {_short(answer)}", began)
        return answer

    return tracing


def _tell(
    plugin: str, method: str, arguments: tuple[Any, ...], named: dict[str, Any], outcome: str, began: float
) -> None:
    given = ", ".join([*map(_short, arguments), *(f"{name}={_short(value)}" for name, value in named.items())])
    milliseconds = (time.monotonic() - began) * 1000
    line = f"cmanager: trace: {os.getpid()} {plugin} {method}({given}) {outcome} {milliseconds:.1f} ms\n"
    data = line.encode("utf-8", "backslashreplace")
    target = os.environ[VARIABLE]
    fd = 2 if target in ("", "1") else os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        if fd != 2:
            os.close(fd)


def _short(value: Any) -> str:
    """What a person needs to recognise a value. Not the content of a mapping: variables may be secrets."""
    if isinstance(value, dict):
        return f"{{{len(value)} keys}}"
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    text = repr(value)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"
