"""Memory that a fork shares with its parent (madvise(2), fork(2))."""

from __future__ import annotations

import errno

from . import syscalls

_MADV_POPULATE_READ = 22  # since Linux 5.14


def populate() -> None:
    """Have the kernel map now what this process will read: a fork finds none of its code mapped.

    What it shares with its parent and writes to is left alone, though an interpreter writes to all that it looks at
    (reference counts): copied ahead, all of it would stay with every supervisor that is forked from here. A kernel that
    cannot do it maps page by page, as ever.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        found = [line.split(None, 5) for line in file]
    for words in found:
        if words[1][0] != "r" or words[1][1] == "w" or words[1][3] != "p" or words[-1].startswith("[v"):
            continue
        start, end = (int(word, 16) for word in words[0].split("-"))
        try:
            syscalls.madvise(start, end - start, _MADV_POPULATE_READ)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return
