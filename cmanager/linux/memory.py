"""Memory that a fork shares with its parent (madvise(2), fork(2))."""

from __future__ import annotations

import errno

from . import syscalls

_MADV_POPULATE_READ, _MADV_POPULATE_WRITE = 22, 23  # since Linux 5.14


def populate(*, own: bool) -> None:
    """Have the kernel map now what this process will read, and with `own` copy what it shares with its parent too.

    A fork finds none of its code mapped. And an interpreter writes to all that it looks at (reference counts): then a
    page is copied, a thousand of them a command, at two microseconds each. Owning them takes some 15 milliseconds for
    30 MB, which nobody shares any more. A kernel that cannot do it does it page by page, as ever.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        found = [line.split(None, 5) for line in file]
    for words in found:
        access, writable = words[1], "w" in words[1]
        if access[0] != "r" or access[3] != "p" or words[-1].startswith("[v") or (writable and not own):
            continue
        start, end = (int(word, 16) for word in words[0].split("-"))
        try:
            syscalls.madvise(start, end - start, _MADV_POPULATE_WRITE if writable else _MADV_POPULATE_READ)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return
