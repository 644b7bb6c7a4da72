"""Where everything goes that a container writes: its log, and its sinks."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..model.container import Container
from ..model.log import Dropped, LogSink
from .log import Log

if TYPE_CHECKING:
    from .sinks import Lines, Queue

#: Seconds between two reports of what was dropped.
_REPORT = 1.0
#: At the end of a life: seconds that a receiver may take nothing, and all receivers together may take.
_QUIET, _LONGEST = 0.6, 5.0
_LOST, _DROPPED = "the log could not be written", "log sink "


class Output:
    """The log and the sinks of one container, as long as its supervisor lives. No receiver is ever waited for.

    log: None where none is kept; sinks: each with its queue; lines: what makes lines for them, None without any.
    `Streams` writes, polls for `wanted` and `due`, and calls `serve`.
    """

    def __init__(
        self, log: Log | None, sinks: Iterable[tuple[LogSink, Queue]] = (), lines: Lines | None = None
    ) -> None:
        self._log, self._sinks, self._lines = log, tuple(sinks), lines
        self._told, self._told_at = self.dropped, 0.0

    @classmethod
    def of(cls, container: Container, path: str, env: tuple[str, ...]) -> Output:
        """What a container's record asks for. path: of its log; env: its image's variables. Raises OSError, and
        NotFoundError for a sink on a host that cannot be looked up."""
        request, config = container.request, container.request.log
        log = Log(path, config.max_size, config.max_files) if config.enabled else None
        if not config.sinks:
            return cls(log)
        from .sinks import Lines, Queue, Source, make  # only those who use them pay for it

        attributes = config.attributes(request.labels, (*env, *request.env))
        source = Source(container.id, container.name, request.image, attributes)
        return cls(log, [(sink, Queue(make(sink, source))) for sink in config.sinks], Lines())

    def write(self, stream: bytes, chunk: bytes, now_ns: int) -> None:
        """Keep one chunk of output. stream: b"stdout" or b"stderr"."""
        if self._log:
            self._log.write(stream, chunk, now_ns)
        if self._lines:
            for line in self._lines.add(stream, chunk, now_ns):
                for _, queue in self._sinks:
                    queue.put(line)
            self._flush()

    @property
    def wanted(self) -> list[int]:
        """Descriptors to poll until one can be written to."""
        return [queue.wanted for _, queue in self._sinks if queue.wanted >= 0]

    @property
    def due(self) -> float | None:
        """When to call `serve` although none can (time.monotonic), None for no certain time."""
        times = [queue.due for _, queue in self._sinks]
        times.append(self._told_at + _REPORT if self.dropped != self._told else None)
        return min((moment for moment in times if moment is not None), default=None)

    def serve(self, ready: dict[int, int]) -> None:
        """Go on with the sinks that can. ready: what poll(2) said."""
        for _, queue in self._sinks:
            if ready.get(queue.wanted, 0):
                queue.writable()
            else:
                queue.flush()

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """What each sink has dropped so far."""
        return tuple(queue.dropped for _, queue in self._sinks)

    @property
    def news(self) -> bool:
        """Whether it is time to tell of what was dropped since the last `tell`."""
        return self.dropped != self._told and time.monotonic() >= self._told_at + _REPORT

    def tell(self) -> tuple[Dropped, ...]:
        """What to tell: `dropped`."""
        self._told, self._told_at = self.dropped, time.monotonic()
        return self._told

    def warnings(self, others: tuple[str, ...]) -> tuple[str, ...]:
        """A container's warnings, with a line for each place that lost something instead of earlier such lines."""
        found = [warning for warning in others if not warning.startswith((_LOST, _DROPPED))]
        if self._log and self._log.dropped:
            found.append(f"{_LOST}, {self._log.dropped} bytes were lost")
        for (sink, _), dropped in zip(self._sinks, self.dropped, strict=True):
            if dropped.lines:
                found.append(f"{_DROPPED}{sink} did not take {dropped.lines} lines, {dropped.bytes} bytes")
        return tuple(found)

    def drain(self) -> None:
        """Nothing more comes for now: let the sinks take what waits, as long as they do."""
        if not self._lines:
            return
        for line in self._lines.rest():
            for _, queue in self._sinks:
                queue.put(line)
        self._flush()
        end = time.monotonic() + _LONGEST
        passed, quiet = self._passed(), time.monotonic() + _QUIET
        while not all(queue.empty for _, queue in self._sinks) and (now := time.monotonic()) < min(end, quiet):
            poller = select.poll()
            for fd in self.wanted:
                poller.register(fd, select.POLLOUT)
            self.serve(dict(poller.poll((min(end, quiet, self.due or end) - now) * 1000)))
            if self._passed() != passed:
                passed, quiet = self._passed(), time.monotonic() + _QUIET

    def close(self) -> None:
        """What still waits is dropped; can be called again."""
        for _, queue in self._sinks:
            queue.close()
        if self._log:
            self._log.close()

    def _passed(self) -> int:
        return sum(queue.passed for _, queue in self._sinks)

    def _flush(self) -> None:
        for _, queue in self._sinks:
            queue.flush()
