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
    from .sinks import Lines, ProgramSink, Queue

#: Seconds between two reports of what was dropped.
_REPORT = 1.0
#: At the end of a life: seconds that a receiver may take nothing, and all receivers together may take.
_QUIET, _LONGEST = 0.6, 5.0
#: Seconds that programs have to end when they have got everything, and between two looks at one that was killed.
_GRACE, _DEATH = 2.0, 0.1
_LOST, _DROPPED = "the log could not be written", "log sink "


class Output:
    """The log and the sinks of one container, as long as its supervisor lives. No receiver is ever waited for.

    log: None where none is kept; sinks: each with its queue; lines: what makes lines for them, None without any;
    programs: by the place of their sink. `Streams` writes, polls for `wanted`, `heard` and `due`, and calls `serve`.
    """

    def __init__(
        self,
        log: Log | None,
        sinks: Iterable[tuple[LogSink, Queue]] = (),
        lines: Lines | None = None,
        programs: dict[int, ProgramSink] | None = None,
    ) -> None:
        self._log, self._sinks, self._lines, self._programs = log, tuple(sinks), lines, programs or {}
        self._told, self._told_at = self.dropped, 0.0

    @classmethod
    def of(cls, container: Container, path: str, env: tuple[str, ...]) -> Output:
        """What a container's record asks for. path: of its log; env: its image's variables. Raises OSError, and
        NotFoundError for a sink on a host that cannot be looked up."""
        request, config = container.request, container.request.log
        log = Log(path, config.max_size, config.max_files) if config.enabled else None
        if not config.sinks:
            return cls(log)
        from .sinks import Lines, ProgramSink, Queue, Source, make  # only those who use them pay for it

        attributes = config.attributes(request.labels, (*env, *request.env))
        source = Source(container.id, container.name, request.image, attributes)
        made = [make(sink, source) for sink in config.sinks]
        programs = {number: sink for number, sink in enumerate(made) if isinstance(sink, ProgramSink)}
        return cls(log, zip(config.sinks, map(Queue, made), strict=True), Lines(), programs)

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
    def log(self) -> Log | None:
        """The log."""
        return self._log

    @property
    def simple(self) -> bool:
        """Whether all of it is a log that has lost nothing, or nothing."""
        return not (self._sinks or self._lines or self._programs or (self._log and self._log.dropped))

    @property
    def wanted(self) -> list[int]:
        """Descriptors to poll until one can be written to."""
        return [queue.wanted for _, queue in self._sinks if queue.wanted >= 0]

    @property
    def heard(self) -> list[int]:
        """Descriptors to poll until one can be read."""
        return [fd for program in self._programs.values() for fd in program.heard]

    @property
    def children(self) -> set[int]:
        """Processes of this one that nobody else may reap."""
        return {program.pid for program in self._programs.values() if program.pid}

    @property
    def due(self) -> float | None:
        """When to call `serve` although none can (time.monotonic), None for no certain time."""
        times = [queue.due for _, queue in self._sinks]
        times.append(self._told_at + _REPORT if self.dropped != self._told else None)
        return min((moment for moment in times if moment is not None), default=None)

    def serve(self, ready: dict[int, int]) -> None:
        """Go on with the sinks that can. ready: what poll(2) said."""
        for number, program in self._programs.items():
            if not ready.keys().isdisjoint(program.heard) and program.listen():
                self._sinks[number][1].resume(program.bury())
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
        for number, program in self._programs.items():
            if program.said:
                found.append(f"{_DROPPED}{self._sinks[number][0]}: {program.said}")
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
            for fd in self.heard:
                poller.register(fd, select.POLLIN)
            self.serve(dict(poller.poll(max(0.0, min(end, quiet, self.due or end) - now) * 1000)))
            if self._passed() != passed:
                passed, quiet = self._passed(), time.monotonic() + _QUIET

    def close(self) -> None:
        """What still waits is dropped; can be called again."""
        for _, queue in self._sinks:
            queue.close()
        if self._log:
            self._log.close()

    def end(self) -> None:
        """After `close`: give the programs a moment to end, then end them; what they have not read is dropped."""
        deadline = time.monotonic() + _GRACE
        for number, program in self._programs.items():
            while program.pid and (left := deadline - time.monotonic()) > -_LONGEST:
                if left <= 0:
                    program.kill()
                select.select(program.heard, [], [], max(left, _DEATH))
                if program.listen():
                    self._sinks[number][1].resume(program.bury())
                    self._sinks[number][1].close()

    def _passed(self) -> int:
        return sum(queue.passed for _, queue in self._sinks)

    def _flush(self) -> None:
        for _, queue in self._sinks:
            queue.flush()
