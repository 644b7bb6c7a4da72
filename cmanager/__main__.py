"""The command `cmanager`, also `python -m cmanager`, and the command server that runs it again and again."""

from __future__ import annotations

import os
import sys
import time

from .warm.client import FORKING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .supervisor.moving import Mover
    from .supervisor.slots import Berths

    #: Phases of a command, one after the other, each with the moment it began: nanoseconds of the monotonic clock.
    Since = tuple[tuple[str, int], ...]


def command(since: Since = ()) -> NoReturn:
    """`main`, for a process that has nothing else to do."""
    now = time.monotonic_ns()
    # Nothing tells when a program was executed; the processor has done nothing else for it so far.
    since = since or (("interpreter", now - time.process_time_ns()),)
    if not FORKING.isdisjoint(sys.argv[1:]):
        _seal("command", since=(*since, ("seal", now)))
    from .linux import interpreter

    os._exit(interpreter.code_of(lambda: main(since=since)))


def main(mover: Mover | None = None, since: Since = (), berths: Berths | None = None) -> None:
    """Run the command line and exit with its code.

    mover: who moves the streams of attached programs, None: us; since: what the command has done before this; berths:
    where slots are kept ready for containers.
    """
    from .cli.main import run

    sys.exit(run(sys.argv[1:], mover, (*since, ("arguments", time.monotonic_ns())), berths))


def serve() -> None:
    """Be a command server (`cmanager.warm.starting`), which forks from a sealed interpreter too."""
    _seal("serve")
    from .cli.main import COMMANDS
    from .warm import serving

    run_root, name, lock = sys.argv[1:]
    serving.serve(run_root, name, int(lock), main, [f"{__package__}.cli.{command}" for command in COMMANDS])


def _seal(function: str, **given: object) -> None:
    """Execute this command again on an interpreter that a container cannot write to, before anything is imported."""
    if os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY or os.geteuid() != 0:
        return
    from .linux import seal

    try:
        seal.execute(seal.command(f"cmanager.__main__:{function}", sys.argv[1:], **given))
    except OSError as error:
        print(f"cmanager: cannot seal the interpreter: {error.strerror} (errno {error.errno})", file=sys.stderr)
        sys.exit(125)


if __name__ == "__main__":
    command()
