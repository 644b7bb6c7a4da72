"""From a process that has the lock to a server that serves."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from contextlib import suppress

from ..linux import syscalls
from . import stamp
from .caller import Standing
from .client import VARIABLE
from .preload import preload
from .rehearsal import rehearse
from .server import Place, Server
from .title import Title
from .worker import Main, Work

_IDLE = 300


def serve(run_root: str, name: str, lock: int, main: Main, commands: Iterable[str]) -> None:
    """Serve below `run_root` until it is time to leave. name: of the socket; lock: descriptor of the lock, which says
    that no other server serves there; main: what workers run; commands: modules to have imported."""
    os.set_inheritable(lock, False)
    with suppress(OSError):
        syscalls.new_session_keyring()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    preload(commands)
    rehearse(main)
    work = Work(main, Title(), Standing.of("self"), dict(os.environb), stamp.of_this_process(thorough=False))
    unchanged = stamp.of_this_process(thorough=True)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    idle = float(os.environb.get(VARIABLE) or _IDLE)
    Server(Place(f"{run_root}/warm", name, lock), work, work.stand_in, unchanged.holds, work.vouch, idle).run()
