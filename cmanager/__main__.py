"""The command `cmanager`, also `python -m cmanager`."""

from __future__ import annotations

import sys

#: Commands that fork containers run from a sealed interpreter; a word among the arguments is enough to be careful.
_FORKING = {"run", "start", "exec", "restart"}


def main() -> None:
    """Run the command line and exit with its code."""
    if not _FORKING.isdisjoint(sys.argv[1:]):
        _seal()
    from .cli.main import run

    sys.exit(run(sys.argv[1:]))


def _seal() -> None:
    """Execute this command again on an interpreter that a container cannot write to, before anything is imported."""
    import os

    if os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY or os.geteuid() != 0:
        return
    from .linux import seal

    try:
        seal.execute("cmanager.__main__:main", sys.argv[1:])
    except OSError as error:
        print(f"cmanager: cannot seal the interpreter: {error.strerror} (errno {error.errno})", file=sys.stderr)
        sys.exit(125)


if __name__ == "__main__":
    main()
