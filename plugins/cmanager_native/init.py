"""The built-in init (`--init`): process 1 that forwards signals and reaps orphans, as a fork of the runtime itself."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from cmanager.linux import syscalls

_NOT_FORWARDED = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP}


def start(terminal: bool, execute: Callable[[], NoReturn], parent: socket.socket) -> NoReturn:
    """Fork the program and stay as its init; ends with the program's exit code, 128 + n for signal n.

    terminal: whether 0 is a terminal, whose keys then reach the program's process group and not the init as well.
    """
    watched = signal.valid_signals() - _NOT_FORWARDED | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    program = os.fork()
    if program == 0:
        if terminal:
            # From the background this needs SIGTTOU blocked (tcsetpgrp(3)), which it still is.
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpgrp())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)
        execute()
    # Only the program may hold the pipe that tells the parent of a failed exec, and nobody may read this process.
    parent.close()
    syscalls.close_range(3)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    while True:
        number = signal.sigwait(watched)
        if number != signal.SIGCHLD:
            try:
                os.kill(program, number)
            except ProcessLookupError:
                continue
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                os._exit(125)
            if pid == 0:
                break
            if pid == program and not os.WIFSTOPPED(status):
                os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
