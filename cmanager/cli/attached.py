"""A command that stays with a program: its streams, its terminal, its exit code."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from .main import Refused, Settings

if TYPE_CHECKING:
    from ..engine import Session


def window(*, tty: bool, interactive: bool) -> tuple[int, int] | None:
    """Rows and columns for a program that gets a terminal, None for one that does not or when nobody knows.

    Raises Refused, before anything is made, when it is to be typed to and stdin is no terminal.
    """
    if not tty:
        return None
    if interactive and not os.isatty(0):
        raise Refused("stdin is no terminal, leave out -t or run it from one")
    for fd in (0, 1, 2):
        try:
            size = os.get_terminal_size(fd)
        except OSError:
            continue
        return size.lines, size.columns
    return None


def pump(
    settings: Settings,
    session: Session,
    *,
    interactive: bool,
    detach_keys: bytes,
    sig_proxy: bool,
    streams: Collection[str] = (),
) -> int:
    """Move data until the program ends or the detach keys are typed; returns what the command exits with.

    streams: those of the program's outputs that are shown ("stdout", "stderr"), both when empty.
    """
    out = 1 if not streams or "stdout" in streams else -1
    err = 2 if not streams or "stderr" in streams else -1
    stdin = 0 if interactive else -1
    by = {"by": settings.call.mover} if settings.call.mover else {}
    began = time.monotonic()
    code = session.pump(stdin, out, err, forward_signals=sig_proxy, detach_keys=detach_keys, **by)
    if timeline := settings.call.timeline:
        timeline.part = "run"
        for mark in session.marks:
            timeline(*mark)
        # What it was told it heard after the last of them.
        timeline("attached", "do", session.marks[-1][2] if session.marks else began)
        timeline("attached", "done", time.monotonic())
    if code is None:
        # The prompt goes on where the program's output stopped.
        print(file=sys.stderr)
        return 0
    return code
