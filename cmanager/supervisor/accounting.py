"""What a container uses, as its supervisor follows it: its limits told of when they are reached, all of it kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import attrs

from ..errors import CmanagerError
from ..linux import traffic
from ..linux.cgroupfs.alarm import Alarm
from ..model.usage import Usage
from ..seams import Watch

#: Seconds from hearing of something to the look at the counters: v1 tells before it kills.
_GATHER = 0.1
#: Seconds in which nothing more is told, doubled while there is news: a fork bomb must not fill the journal.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_LIMITS = {"memory": "memory_limit_hits", "pids": "pids_limit_hits"}


class Announce(Protocol):
    """Tells of an event of the container."""

    def __call__(self, action: str, **attributes: str) -> None: ...


class Accounts:
    """The use of one life. limiter, id: who counts and for whom; network: path of its network namespace, "" for the
    host's, which is not its own; told: how often each of them was announced already, now and at the beginning.

    The owner polls `fd` (-1: nothing to hear), calls `tick` when it is readable or `due` seconds have passed, and
    `close` at the end. What is reached is announced: "oom", "limit: memory", "limit: pids", with how often as `count`.
    """

    def __init__(
        self, limiter: Any, id: str, network: str, announce: Announce, told: Mapping[str, int] | None = None
    ) -> None:
        self._limiter, self._id, self._network, self._announce = limiter, id, network, announce
        self.told = dict(told or {})
        self._pause = _FIRST_PAUSE
        self._look_at: float | None = None
        self._deaf_until: float | None = None
        self._alarm = Alarm(self._watched())
        if self._alarm.fd >= 0:
            self._look_at = time.monotonic() + _GATHER  # what happened before it was listened to

    @property
    def fd(self) -> int:
        """What to listen to now."""
        return self._alarm.fd if self._look_at is None and self._deaf_until is None else -1

    @property
    def due(self) -> float | None:
        """Seconds until `tick` is wanted; None for as long as nothing is heard."""
        moments = [moment for moment in (self._look_at, self._deaf_until) if moment is not None]
        return max(0.0, moments[0] - time.monotonic()) if moments else None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What another process has to have to hear the same; the first is readable then."""
        return self._alarm.descriptors

    def tick(self) -> None:
        """Look at the counters some time after something was heard, and listen again some time after that."""
        now = time.monotonic()
        if self._look_at is not None and now >= self._look_at:
            self._look_at = None
            self.look()
        elif self._deaf_until is not None and now >= self._deaf_until:
            self._deaf_until = None
        elif self.fd >= 0 and self._alarm.clear():
            self._look_at = now + _GATHER

    def look(self) -> None:
        """Look now, unless there was news just now; for where the kernel tells of nothing."""
        if self._deaf_until is None:
            news = self._tell(self._count())
            self._pause = min(self._pause * 2, _LONGEST_PAUSE) if news else _FIRST_PAUSE
            self._deaf_until = time.monotonic() + self._pause if news or self._alarm.fd >= 0 else None

    def last(self) -> Usage:
        """All of it, before the cgroup and the network namespace go; what was reached and not told yet is told."""
        usage = self._count()
        self._tell(usage)
        if self._network:
            with suppress(OSError):  # that of another container, which is gone
                usage = attrs.evolve(usage, network=traffic.of_namespace(self._network))
        return usage

    def close(self) -> None:
        """Listen no more."""
        self._alarm.close()

    def _watched(self) -> Any:
        if isinstance(self._limiter, Watch):
            with suppress(CmanagerError):
                return self._limiter.watched(self._id)
        return ()

    def _count(self) -> Usage:
        try:
            found: Usage = self._limiter.usage(self._id)
        except CmanagerError:
            return Usage()
        return found

    def _tell(self, usage: Usage) -> bool:
        news = False
        for action, name in {**{f"limit: {kind}": name for kind, name in _LIMITS.items()}, "oom": "oom_kills"}.items():
            hits = getattr(usage, name) or 0
            more = hits - self.told.get(action, 0)
            if more > 0:
                self.told[action] = hits
                self._announce(action, count=str(more))
                news = True
        return news
