"""CMANAGER_TRACE: each call of a plugin, with its arguments, its time and its result."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from ..errors import InvalidError
from .calls import Call

_LENGTH = 60


def traced(plugin: str, call: Call, target: str) -> Call:
    """The same call, told of when it ends. plugin: "SEAM.NAME"; target: "1" for stderr, or the absolute path of a file
    that lines are appended to. Raises InvalidError for another, or one that cannot be written."""
    try:
        _append(target, b"")
    except OSError as error:
        raise InvalidError(f"cannot trace to CMANAGER_TRACE={target}: {(error.strerror or '').lower()}") from None

    def tracing(method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        began = time.monotonic()
        try:
            answer = call(method, arguments, named)
        except BaseException as error:
            tell(method, arguments, named, f"raised {type(error).__name__}: {error}", began)
            raise
        tell(method, arguments, named, f"-> {_short(answer)}", began)
        return answer

    def tell(method: str, arguments: tuple[Any, ...], named: dict[str, Any], outcome: str, began: float) -> None:
        given = ", ".join([*map(_short, arguments), *(f"{name}={_short(value)}" for name, value in named.items())])
        milliseconds = (time.monotonic() - began) * 1000
        line = f"cmanager: trace: {os.getpid()} {plugin} {method}({given}) {outcome} {milliseconds:.1f} ms\n"
        with suppress(OSError):  # a full disk, or nobody who reads: the call has been made
            _append(target, line.encode("utf-8", "backslashreplace"))

    return tracing


def _append(target: str, data: bytes) -> None:
    if target == "1":
        os.write(2, data)
        return
    if not target.startswith("/"):
        raise OSError(22, "it is 1 for stderr, or an absolute path")
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _short(value: Any) -> str:
    """What a person needs to recognise a value. Not the content of a mapping: variables may be secrets."""
    if isinstance(value, dict):
        return f"{{{len(value)} keys}}"
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    text = repr(value)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"
