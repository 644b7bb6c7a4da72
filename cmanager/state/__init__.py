"""What is remembered: one directory per container, files written whole, locks the kernel frees.

Two roots: `root` survives a reboot, `run_root` is on tmpfs and does not. A container that asked to be removed at its
end (`--rm`) lives on the tmpfs alone, so that a reboot removes it and its start waits for no disk.

    root/containers/ID/config.json    what never changes          (durable)
    root/containers/ID/status.json    what became of it
    root/containers/ID/log            its output
    root/names/NAME                   a link to the id that owns the name
    run_root/containers/ID/           bundle, attach socket, files mounted into the container; the records of --rm ones
    run_root/netns/ID                 its pinned network namespace
    run_root/slots/ID                 the process that keeps these for a container to come
    run_root/locks/ID                 flock(2) for changes to it
    root/pods/, run_root/pods/        the same for pods (pods.py)
    run_root/events/                  the journal of what happened (journal.py)
"""

from .store import Paths, Store

__all__ = ["Paths", "Store"]
