"""What is there, kind by kind, so that what was left behind is what is there more of afterwards."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping

from attrs import asdict, frozen

from tests.support import OWN_KINDS, Snapshot

#: Cgroups that one of those who take part makes, by how its path goes on.
CGROUPS = re.compile(r"/(cmanager|docker|libpod|machine\.slice|lxc\.|bench-|system\.slice/docker|[0-9a-f]{64})")
KINDS = OWN_KINDS | {"cgroups", "namespaces"}
Look = Mapping[str, frozenset[str]]


@frozen
class Running:
    """One process of /proc. state: proc(5)'s letter; command: its arguments, or its name where it has none."""

    pid: int
    parent: int
    state: str
    command: str

    def __str__(self) -> str:
        return f"{self.pid} {self.command[:100]}"


def machine() -> Snapshot:
    """What the peers could leave on the machine, as seen from this process's namespaces."""
    return Snapshot.take(CGROUPS)


def look(above: int) -> Look:
    """The same, and what runs below process `above`, the ended ones left out."""
    seen = asdict(machine(), recurse=False)
    processes = frozenset(str(found) for found in below(above).values())
    # Not settings: forwarding goes on with the first bridge of whoever makes one.
    return {kind: seen[kind] for kind in sorted(KINDS - {"settings"})} | {"processes": processes}


def grown(before: Look, now: Look) -> dict[str, list[str]]:
    """What is new of each kind of which there is more than before: what waits in a pool may be others each time."""
    new = {kind: sorted(now[kind] - before[kind]) for kind in before}
    return {kind: lines for kind, lines in new.items() if len(now[kind]) > len(before[kind])}


def left(before: Look, above: int, patience: float = 10) -> dict[str, list[str]]:
    """What has grown, and is still there after so many seconds: peers, and the kernel, clear up behind their answer."""
    deadline = time.monotonic() + patience
    while (found := grown(before, look(above))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def below(above: int) -> dict[int, Running]:
    """All descendants of a process that have not ended, by pid."""
    everything = {found.pid: found for found in map(_process, filter(str.isdigit, os.listdir("/proc"))) if found}
    inside: dict[int, bool] = {above: True}

    def is_inside(pid: int) -> bool:
        if pid not in inside:
            found = everything.get(pid)
            inside[pid] = False  # whoever is its own ancestor, for a pid was used again meanwhile
            inside[pid] = found is not None and is_inside(found.parent)
        return inside[pid]

    return {pid: found for pid, found in everything.items() if pid != above and found.state != "Z" and is_inside(pid)}


def daemons(above: int) -> dict[str, set[int]]:
    """Pids below a process that serve all containers of docker or of cmanager, for a caller who has none running."""
    found: dict[str, set[int]] = {}
    for pid, process in below(above).items():
        program = os.path.basename(process.command.partition(" ")[0])
        if pid != os.getpid():
            whose = "docker" if program == "dockerd" or program.startswith("containerd") else "cmanager"
            found.setdefault(whose, set()).add(pid)
    return found


def trees(pids: Iterable[int]) -> set[int]:
    """Those of them that still run, and all below those that do: a server and those that it forks for a command."""
    found: set[int] = set()
    for pid in pids:
        if os.path.exists(f"/proc/{pid}/exe"):
            found |= {pid, *below(pid)}
    return found


def _process(pid: str) -> Running | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            name, _, rest = file.read().partition(" (")[2].rpartition(") ")
        with open(f"/proc/{pid}/cmdline", "rb") as raw:
            command = raw.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return None
    state, parent = rest.split()[:2]
    return Running(int(pid), int(parent), state, command or f"[{name}]")
