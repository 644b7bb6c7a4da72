"""What a server does before it serves: commands that change nothing, so that its workers find caches filled and code
that the interpreter has specialized, which it does for what has run some times (PEP 659)."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress

from ..plugins.config import MODE, shipped_directory

_COMMANDS = (
    ("explain", "run", "--rm", "-it", "--name", "rehearsal", "-e", "A=1", "busybox", "true"),
    ("exec", "rehearsal", "true"),
    ("ps",),
)
_TIMES = 16


def rehearse(main: Callable[[], None]) -> None:
    """Run them, with nothing but what came with cmanager, and on state directories that there are not."""
    nowhere = "/proc/self/nowhere"
    before = os.environ.get(MODE)
    os.environ[MODE] = "off"
    options = ["--root", nowhere, "--run-root", nowhere, "--config", f"{shipped_directory()}/plugins.toml"]
    for command in _COMMANDS * _TIMES:
        sys.argv[:] = ["cmanager", *options, *command]
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
            main()
    if before is None:
        del os.environ[MODE]
    else:
        os.environ[MODE] = before
