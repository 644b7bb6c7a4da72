"""The command `cmanager`, also `python -m cmanager`, and the command server that runs it again and again."""

from __future__ import annotations

import os
import sys

from .warm.client import FORKING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .supervisor.moving import Mover


def command() -> NoReturn:
    """`main`, for a process that has nothing else to do."""
    if not FORKING.isdisjoint(sys.argv[1:]):
        _seal("command")
    from .linux import interpreter

    os._exit(interpreter.code_of(main))


def main(mover: Mover | None = None) -> None:
    """Run the command line and exit with its code. mover: who moves the streams of attached programs, None: us."""
    from .cli.main import run

    sys.exit(run(sys.argv[1:], mover))


def serve() -> None:
    """Be a command server (`cmanager.warm.starting`), which forks from a sealed interpreter too."""
    _seal("serve")
    from .cli.main import COMMANDS
    from .warm import serving

    run_root, name, lock = sys.argv[1:]
    serving.serve(run_root, name, int(lock), main, [f"{__package__}.cli.{command}" for command in COMMANDS])


def _seal(function: str) -> None:
    """Execute this command again on an interpreter that a container cannot write to, before anything is imported."""
    if os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY or os.geteuid() != 0:
        return
    from .linux import seal

    try:
        seal.execute(seal.command(f"cmanager.__main__:{function}", sys.argv[1:]))
    except OSError as error:
        print(f"cmanager: cannot seal the interpreter: {error.strerror} (errno {error.errno})", file=sys.stderr)
        sys.exit(125)


if __name__ == "__main__":
    command()
