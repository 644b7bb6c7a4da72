"""Signals by the names that people type (signal(7))."""

from __future__ import annotations

import signal

from ..errors import InvalidError


def number_of(text: str) -> int:
    """The number of "SIGTERM", "term" or "15"; InvalidError otherwise."""
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) in {int(n) for n in signal.valid_signals()}:
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    if (
        name.startswith("SIGRTMIN+")
        and name[9:].isascii()
        and name[9:].isdigit()
        and int(name[9:]) <= signal.SIGRTMAX - signal.SIGRTMIN
    ):
        return signal.SIGRTMIN + int(name[9:])
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise InvalidError(f"unknown signal {text!r}, expected a name such as SIGTERM or a number") from None
