"""Log sinks: more places that get every line a container writes. A file per sink; `queue` is shared by all.

None of them ever waits: what a receiver does not take at once is queued, and what does not fit there is dropped and
counted.
"""

from .kinds import check, make
from .lines import Line, Lines
from .program import ProgramSink
from .queue import Queue
from .sink import Sink, Source

__all__ = ["Line", "Lines", "ProgramSink", "Queue", "Sink", "Source", "check", "make"]
