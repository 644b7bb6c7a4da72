"""What a log sink is."""

from __future__ import annotations

from typing import Protocol

from attrs import field

from ...linux.values import frozen
from .lines import Line


@frozen
class Source:
    """Whose lines they are. attributes: labels and variables that are shown with every line."""

    id: str
    name: str
    image: str
    attributes: dict[str, str] = field(factory=dict)


class Sink(Protocol):
    """A receiver of lines. A `Queue` drives it: it encodes every line once, and opens again what has failed.

    No method waits for the receiver.
    """

    def encode(self, line: Line) -> bytes:
        """The message for one line. Never raises."""

    def open(self) -> int:
        """A non-blocking descriptor that leads to the receiver; the caller closes it. OSError when nobody is there."""

    def send(self, fd: int, message: memoryview) -> int:
        """Hand over one message or the beginning of it; returns the bytes that were taken.

        Raises BlockingIOError when there is no room now (then `fd` becomes writable), another OSError when the receiver
        has failed.
        """
