"""Copying a tree with everything its files have, by the program made for it."""

from __future__ import annotations

import errno
import os
import subprocess

from ...errors import HostError, UnsupportedError

_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin")


def copy_tree(source: str, target: str, lock: int) -> None:
    """Make `target` a copy of the directory `source`: links, holes, owners, times, xattrs, blocks shared if possible.

    Both are paths of ours. lock: a descriptor that the program keeps open, so that a lock is held while it writes even
    when this process dies. Raises UnsupportedError without GNU cp, HostError when it fails; the caller removes what is
    there then.
    """
    program = next((f"{d}/cp" for d in _DIRECTORIES if os.access(f"{d}/cp", os.X_OK)), None)
    if program is None:
        raise UnsupportedError(f"no cp in {', '.join(_DIRECTORIES)}, copying a tree needs it: install coreutils")
    run = subprocess.run(
        [program, "-a", "-T", "--reflink=auto", "--", source, target],
        env={"PATH": ":".join(_DIRECTORIES), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(lock,),
        cwd="/",
        check=False,
    )
    if run.returncode:
        raise _error(target, run.stderr.decode(errors="backslashreplace"))


def _error(target: str, said: str) -> HostError | UnsupportedError:
    """The failure that cp told in words."""
    last = (said.strip().splitlines() or ["killed"])[-1]
    if "option" in last:
        return UnsupportedError(f"cp is not that of GNU coreutils, which copying a tree needs: {last[:200]!r}")
    number = next((n for n in errno.errorcode if last.endswith(os.strerror(n))), errno.EIO)
    return HostError("copy a root file system to", target, number)
