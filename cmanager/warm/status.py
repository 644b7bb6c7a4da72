"""Whether the command server serves this process, for whoever wants to know."""

from __future__ import annotations

from ..linux.values import frozen
from . import client
from .request import peer


@frozen
class Status:
    """server: pid of the one that listens, 0 for none; why: why it does not serve a process like this one, "" if so."""

    server: int
    why: str


def look(run_root: str) -> Status:
    """Ask the server of this installation below `run_root` for a worker, and do not take it."""
    pid = 0
    try:
        client.wanted([])
        end = client.ask(run_root, "", [], 0)
        pid, _ = peer(end)
        client.granted(end)
        end.close()
    except (client.Cold, OSError) as error:
        return Status(pid, str(error))
    return Status(pid, "")
