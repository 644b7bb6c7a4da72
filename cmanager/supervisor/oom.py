"""Whom the kernel ends first when the host runs out of memory (proc_pid_oom_score_adj(5))."""

from __future__ import annotations

from ..errors import HostError


def set_oom_score(pid: int, value: int | None) -> None:
    """Set it for a process and those it will fork; None leaves it as it is. Raises HostError.

    Done here and not by runtimes, so that every one of them honours it.
    """
    if value is None:
        return
    path = f"/proc/{pid}/oom_score_adj"
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{value}")
    except OSError as error:
        raise HostError.of(f"write {value} to", path, error) from None
