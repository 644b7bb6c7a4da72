"""`--log-driver`, `--log-opt` and `--log-sink`: where a container's output is kept."""

from __future__ import annotations

import os

from ..errors import InvalidError, UnsupportedError
from ..model import LogConfig, LogSink
from .output.human import parse_size

_DRIVERS = ("json-file", "local", "none", "syslog", "journald")
_OPTIONS = ("max-size", "max-file", "labels", "env")
_SYSLOG, _JOURNALD = "unix:/dev/log", "/run/systemd/journal/socket"
#: Of `local`, and of the log that stays readable beside another driver: Docker's.
_BOUNDED = {"max-size": "20m", "max-file": "5"}


def config(driver: str, options: tuple[str, ...], sinks: tuple[str, ...]) -> LogConfig:
    """What the words ask for; InvalidError or UnsupportedError names the flag and what is known."""
    if driver not in _DRIVERS:
        raise UnsupportedError(f"unknown --log-driver {driver!r}, known are {', '.join(_DRIVERS)}")
    address = "" if driver != "syslog" else _SYSLOG
    given: dict[str, str] = {}
    for text in options:
        key, equals, value = text.partition("=")
        if key == "syslog-address" and driver == "syslog":
            address = _address(value)
        elif key in _OPTIONS and equals and value:
            given[key] = value
        else:
            known = (*_OPTIONS, "syslog-address") if driver == "syslog" else _OPTIONS
            what = f"unknown --log-opt {key!r}" if key not in known else f"invalid --log-opt {text!r}"
            raise InvalidError(f"{what}, known are {', '.join(f'{option}=…' for option in known)}")
    for key in given if driver == "none" else ():
        if key.startswith("max-") or not sinks:
            raise InvalidError(f"--log-driver none keeps no log, --log-opt {key} has no meaning")
    if driver not in ("json-file", "none") and given.get("max-size") != "-1":
        given = _BOUNDED | given
    size = 0 if given.get("max-size", "-1") == "-1" else parse_size(given["max-size"], "--log-opt max-size")
    wanted = [_sink(text) for text in sinks]
    if driver == "syslog":
        wanted.insert(0, LogSink("syslog", address))
    elif driver == "journald":
        wanted.insert(0, LogSink("journald", _JOURNALD))
    return LogConfig(
        enabled=driver != "none",
        max_size=size,
        max_files=_files(given.get("max-file", "1"), size),
        sinks=tuple(wanted),
        labels=_names(given.get("labels", "")),
        env=_names(given.get("env", "")),
    )


def _sink(text: str) -> LogSink:
    """`json:PATH`, `file:PATH`, `program:PATH`, `syslog[:unix:PATH|:udp:HOST:PORT]`, `journald[:PATH]`."""
    kind, _, target = text.partition(":")
    if kind == "json" and target:
        return LogSink("json", os.path.abspath(target))
    if kind == "file" and target:
        return LogSink("file", os.path.abspath(target))
    if kind == "program" and target:
        return LogSink("program", os.path.abspath(target))
    if kind == "syslog":
        return LogSink("syslog", target or _SYSLOG)
    if kind == "journald":
        return LogSink("journald", target or _JOURNALD)
    expected = "expected json:PATH, file:PATH, program:PATH, syslog[:unix:PATH], syslog:udp:HOST:PORT or journald"
    raise InvalidError(f"invalid --log-sink {text!r}, {expected}")


def _address(text: str) -> str:
    """Docker's syslog-address, a URL, as our target."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("unix", "unixgram") and rest.startswith("/"):
        return f"unix:{rest}"
    if separator and scheme == "udp" and rest:
        host, colon, port = rest.rpartition(":")
        # 514 is Docker's default too; an IPv6 address ends with its bracket.
        return f"udp:{rest}" if colon and port.isdigit() and host else f"udp:{rest}:514"
    raise InvalidError(f"invalid --log-opt syslog-address {text!r}, expected unix:///PATH or udp://HOST[:PORT]")


def _files(text: str, size: int) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1000):
        raise InvalidError(f"invalid --log-opt max-file {text!r}, expected 1 to 1000")
    if int(text) > 1 and not size:
        raise InvalidError("--log-opt max-file needs --log-opt max-size")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, text.split(","))))
