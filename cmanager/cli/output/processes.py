"""Processes in the columns of ps(1), the host's, as it has all the formats that people know."""

from __future__ import annotations

import subprocess

from ...errors import InvalidError, UnsupportedError


def table(pids: tuple[int, ...], options: tuple[str, ...]) -> list[str]:
    """The lines of `ps OPTIONS` about these processes, the title first.

    Raises UnsupportedError without ps, InvalidError for options it does not take or that show no column PID.
    """
    try:
        # A fixed environment: its columns must not depend on the caller's.
        environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "1000"}
        done = subprocess.run(["ps", *options], capture_output=True, text=True, errors="replace", env=environment)
    except FileNotFoundError:
        raise UnsupportedError("top needs the program ps (Debian: procps)") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        said = (done.stderr.strip().splitlines() or ["no output"])[0]
        raise InvalidError(f"ps {' '.join(options)} failed: {said}")
    titles = lines[0].split()
    if "PID" not in titles:
        raise InvalidError(f"ps {' '.join(options)} shows no column PID, add one")
    column = titles.index("PID")
    wanted = set(map(str, pids))
    rows = (line for line in lines[1:] if len(fields := line.split()) > column and fields[column] in wanted)
    return [lines[0], *rows]
