"""What a worker does while it waits: a command that changes nothing, so that the next one finds its memory its own.

A fork shares its memory with the server until it writes to it, and Python writes to whatever it looks at (reference
counts): each page that it does so for the first time is copied by the kernel, at two microseconds a page and a thousand
pages a command. In the server itself it fills caches and lets the interpreter specialize its code.
"""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress

from ..plugins.config import MODE, shipped_directory
from .client import VERSION
from .request import Request, receive

_COMMAND = ("explain", "run", "--rm", "-it", "--name", "rehearsal", "-e", "A=1", "busybox", "true")


def rehearse(main: Callable[[], None]) -> None:
    """Run it, with nothing but what came with cmanager, and on state directories that there are not."""
    nowhere = "/proc/self/nowhere"
    before = os.environ.get(MODE)
    os.environ[MODE] = "off"
    sys.argv[:] = ["cmanager", "--root", nowhere, "--run-root", nowhere]
    sys.argv += ["--config", f"{shipped_directory()}/plugins.toml", *_COMMAND]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
        main()
    if before is None:
        del os.environ[MODE]
    else:
        os.environ[MODE] = before


def rehearsed_request() -> Request:
    """A request of this process to itself, with its environment, no command, and nothing behind its descriptors."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    words = (VERSION, "0 0", "0 1 2", f"{sys.getfilesystemencoding()} strict", "cmanager", "0")
    data = b"\0".join([*map(os.fsencode, words), *(b"=".join(item) for item in os.environb.items())])
    with ours, theirs:
        socket.send_fds(ours, [b"%d" % len(data)], [null] * 4)
        ours.send(data)
        os.close(null)
        return receive(theirs)
