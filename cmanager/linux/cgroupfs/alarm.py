"""Hearing of a cgroup's limits without asking again and again."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from contextlib import suppress

from .counters import Watched


class Alarm:
    """One descriptor, `fd`, that is readable when one of some files has told something; -1 where none could be opened.

    poll(2) and not inotify, of which a user has 128 instances by default: a container takes one descriptor and one for
    each file. `clear` makes it unreadable until the next time, `close` ends it.
    """

    def __init__(self, files: Iterable[Watched]) -> None:
        self._kept: list[int] = []
        self._epoll: select.epoll | None = None
        for file in files:
            with suppress(OSError):  # the cgroup is gone: its end is told otherwise
                self._add(file)

    @property
    def fd(self) -> int:
        """The descriptor."""
        return self._epoll.fileno() if self._epoll else -1

    @property
    def descriptors(self) -> tuple[int, ...]:
        """`fd`, and those that have to stay open for it to tell; none where nothing is heard."""
        return (self.fd, *self._kept) if self._epoll else ()

    def clear(self) -> bool:
        """Take what was told; whether there was something."""
        return bool(self._epoll and self._epoll.poll(0))

    def close(self) -> None:
        """Give the descriptors back; more than once is the same."""
        for fd in self._kept:
            os.close(fd)
        if self._epoll:
            self._epoll.close()
        self._kept, self._epoll = [], None

    def _add(self, file: Watched) -> None:
        fd = _registered(file) if file.control else os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        self._kept.append(fd)
        if not file.control:
            os.read(fd, 4096)  # only changes after that are told
        self._epoll = self._epoll or select.epoll()
        # Edge-triggered, or a file would be ready for as long as nobody reads it anew.
        self._epoll.register(fd, (select.EPOLLIN if file.control else select.EPOLLPRI) | select.EPOLLET)


def _registered(file: Watched) -> int:
    """An eventfd that is counted up when there is something to tell of a file (cgroup-v1/memory.rst, section 9)."""
    told = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        about = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            control = os.open(file.control, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(control, b"%d %d" % (told, about))
            finally:
                os.close(control)
        finally:
            os.close(about)
    except OSError:
        os.close(told)
        raise
    return told
