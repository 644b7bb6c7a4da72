"""Which sink is which."""

from __future__ import annotations

from ...errors import InvalidError
from ...model.log import LogSink
from . import datagrams, file, program, syslog
from .file import FileSink, JsonSink
from .journald import JournaldSink
from .program import ProgramSink
from .sink import Sink, Source
from .syslog import SyslogSink


def check(sinks: tuple[LogSink, ...]) -> None:
    """Refuse what cannot be honoured now; makes nothing. Raises InvalidError, NotFoundError or UnsupportedError."""
    for index, sink in enumerate(sinks):
        if sink.target in (other.target for other in sinks[:index]):
            raise InvalidError(f"two log sinks at {sink.target}, give one")
        if sink.kind in ("json", "file"):
            file.check(sink.target)
        elif sink.kind == "program":
            program.check(sink.target)
        elif sink.kind == "syslog":
            syslog.check(sink.target)
        else:
            datagrams.check("journald", sink.target)


def make(sink: LogSink, source: Source) -> Sink:
    """The sink that was asked for; opens nothing. Raises NotFoundError for a host whose name cannot be looked up."""
    if sink.kind == "file":
        return FileSink(sink.target)
    if sink.kind == "json":
        return JsonSink(sink.target, source)
    if sink.kind == "program":
        return ProgramSink(sink.target, source)
    if sink.kind == "syslog":
        return SyslogSink(sink.target, source)
    return JournaldSink(sink.target, source)
