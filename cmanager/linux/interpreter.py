"""The end of a program without the end of its interpreter."""

from __future__ import annotations

import atexit
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def code_of(program: Callable[[], object]) -> int:
    """Run a program to its exit code, with everything that an interpreter does at its end but taking itself apart:
    threads are waited for, exit functions run, streams flushed. So its caller can `os._exit` with that, 9 ms sooner.
    """
    try:
        program()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if threading := sys.modules.get("threading"):
        threading._shutdown()
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream:  # None where the descriptor was closed
                stream.flush()
    except OSError:
        return 120  # as Python does
    return code
