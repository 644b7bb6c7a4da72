"""`--userns auto`: a range of host ids that no other container has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ExhaustedError, InvalidError
from ..linux import files
from ..model.container import RunRequest
from ..state import Store

FIRST = 100_000
SIZE = 65_536
LAST = 2**31 - 1


@contextmanager
def allocated(store: Store, request: RunRequest) -> Iterator[tuple[int, int] | None]:
    """(first host id, count) for a request with a user namespace of its own, else None.

    Holds the allocator's lock until the caller has recorded the container: the records are the book of leases.
    """
    mode = request.namespaces.user
    if mode == "private":
        raise InvalidError("invalid --userns 'private', expected host, auto, container:NAME or ns:PATH")
    if mode != "auto":
        yield None
        return
    with files.locked(f"{store.paths.run_root}/locks/userns"):
        taken = {container.user_map[0] for container in store.all() if container.user_map}
        first = next((start for start in range(FIRST, LAST - SIZE, SIZE) if start not in taken), None)
        if first is None:
            raise ExhaustedError(f"all {len(taken)} ranges of {SIZE} user ids are taken, remove containers")
        yield first, SIZE
