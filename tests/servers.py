"""The command servers of tests: begun, found and ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cmanager.linux.process import Process, children

from .support import COLD, WARM, Cli, wait_until


def pid(cli: Cli) -> int:
    """That of the only server for these state directories, 0 when there is none."""
    found = all_of(cli)
    assert len(found) < 2, found
    return found[0] if found else 0


def workers(cli: Cli) -> list[int]:
    """Pids of those of its children that run a command."""
    found = []
    for child in children(pid(cli)):
        with suppress(OSError):  # it has ended
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"cmanager\0"):
                found.append(child)
    return found


def begin(cli: Cli) -> int:
    """See to it that one serves; returns its pid."""

    def served() -> bool:
        return cli("doctor", "--format", "{{.What}}:{{.State}}").stdout.endswith("command server:ok\n")

    if cli.command is COLD:
        cli = Cli(cli.root, cli.run_root, cli.config, command=tuple(WARM))
    wait_until(served, "a command server serves")
    return pid(cli)


def all_of(cli: Cli) -> list[int]:
    """Pids of all that serve there, or begin to, those of installed commands too."""
    return [pid for pid, words in _servers() if str(cli.run_root).encode() in words]


def end(cli: Cli) -> None:
    """End all that serve there."""
    _end(all_of(cli))


def end_here() -> None:
    """End all in this process's mount namespace."""
    here = os.readlink("/proc/self/ns/mnt")
    found = []
    for pid, _ in _servers():
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/mnt") == here:
                found.append(pid)
    _end(found)


def _servers() -> Iterator[tuple[int, list[bytes]]]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
            # What it has just forked looks like it until it has a session of its own.
            if any(word.endswith(b"import serve; serve()") for word in words) and os.getsid(int(name)) == int(name):
                yield int(name), words


def _end(pids: list[int]) -> None:
    for pid in pids:
        server, *workers = map(Process.of, (pid, *children(pid)))
        server.send(signal.SIGTERM)
        for process in (server, *workers):  # the one that waited for a command goes too
            process.wait_gone(5)
