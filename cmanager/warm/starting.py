"""From a client that found no server to a new one; imports as little as the client does.

It takes the server's lock before anything else, so that of many clients one starts it, and hands it on.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys

from .client import VARIABLE

#: All of the environment that a server gets: what its interpreter and its libraries read, and its own.
_KEPT = (b"PYTHONPATH", b"LD_", b"LC_", b"LANG", b"MALLOC_", b"GLIBC_", b"PATH", VARIABLE)
_CODE = "from cmanager.__main__ import serve; serve()"


def start(run_root: str, name: str) -> None:
    """Become a server, or return when there is one already or none can be; in a process that nobody waits for.

    Nothing of the caller's is kept: directory, signals, umask; session and descriptors are not his any more.
    """
    os.chdir("/")
    os.umask(0o077)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.makedirs(f"{run_root}/warm", mode=0o700, exist_ok=True)
    lock = os.open(f"{run_root}/warm/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    said = os.open(f"{run_root}/warm/{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    os.dup2(said, 2)
    os.set_inheritable(lock, True)
    environment = {key: value for key, value in os.environb.items() if key.startswith(_KEPT)}
    os.execve(sys.executable, [sys.executable, "-P", "-c", _CODE, run_root, name, str(lock)], environment)
