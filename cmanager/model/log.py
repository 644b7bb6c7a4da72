"""Where the output of a container is kept, and what became of it."""

from __future__ import annotations

from typing import Literal

from ..linux.values import frozen


@frozen
class LogSink:
    """One more place that gets every line, besides the container's own log.

    kind: json (lines of JSON), file (plain text), syslog (RFC 5424), journald or program (lines of JSON on its stdin);
    target: an absolute path of the host, for syslog "unix:PATH" or "udp:HOST:PORT".
    """

    kind: Literal["json", "file", "syslog", "journald", "program"]
    target: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"


@frozen
class LogConfig:
    """How a container's output is kept.

    enabled: whether it has a log of its own; max_size: bytes of one file of it, 0 for no rotation; max_files: how many
    files there are at most, the one that is written to included; labels, env: names of labels and variables that
    `logs --details` and json sinks show with every line.
    """

    enabled: bool = True
    max_size: int = 0
    max_files: int = 1
    sinks: tuple[LogSink, ...] = ()
    labels: tuple[str, ...] = ()
    env: tuple[str, ...] = ()

    def attributes(self, labels: dict[str, str], env: tuple[str, ...]) -> dict[str, str]:
        """Those of a container's labels and "NAME=value" variables that were asked for, by name."""
        values = dict(entry.partition("=")[::2] for entry in env)
        found = {key: labels[key] for key in self.labels if key in labels}
        return dict(sorted((found | {key: values[key] for key in self.env if key in values}).items()))


@frozen
class Dropped:
    """What a sink did not take since the container was started. bytes: of the lines as the container wrote them."""

    lines: int = 0
    bytes: int = 0
