"""Calls and answers between two processes: JSON with its length before it, on a socket that descriptors cross."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from ..model.codec import from_data, to_data, with_descriptors
from .calls import Method

_LENGTH = 4
_MOST = 64 << 20
_MOST_FDS = 16


class Channel:
    """One end. The owner closes it; descriptors that came and were not taken are closed with it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._read = b""
        self.fds: list[int] = []

    def fileno(self) -> int:
        """Its descriptor, which is readable when `feed` would not block."""
        return self._end.fileno()

    def send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        """Send one message, with descriptors that stay the caller's. Raises OSError."""
        data = json.dumps(message).encode()
        socket.send_fds(self._end, [len(data).to_bytes(_LENGTH, "big")], fds or [])
        self._end.sendall(data)

    def feed(self) -> bool:
        """Read what is there, or wait for it; False at the end."""
        data, fds, _, _ = socket.recv_fds(self._end, 1 << 16, _MOST_FDS, socket.MSG_CMSG_CLOEXEC)
        self.fds += fds
        self._read += data
        return bool(data)

    def next(self) -> dict[str, Any] | None:
        """The next whole message that was read, None for none yet. Raises ValueError for what is no message."""
        if len(self._read) < _LENGTH:
            return None
        end = _LENGTH + int.from_bytes(self._read[:_LENGTH], "big")
        if end > _MOST:
            raise ValueError(f"a message of {end} bytes")
        if len(self._read) < end:
            return None
        data, self._read = self._read[_LENGTH:end], self._read[end:]
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ValueError("a message that is no object")
        return message

    def patience(self, seconds: float) -> None:
        """Give up sending after so long (TimeoutError)."""
        self._end.settimeout(seconds)

    def close_fds(self) -> None:
        """Close the descriptors that came."""
        while self.fds:
            os.close(self.fds.pop())

    def detach(self) -> None:
        """Forget the descriptors without closing them."""
        self.fds = []
        self._end.detach()

    def close(self) -> None:
        """Close both."""
        self.close_fds()
        self._end.close()


def packed(method: Method, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """A call as a message, and the descriptors that go with it. A callback goes as None, see `unpacked`."""
    fds: list[int] = []

    def place(fd: int) -> int:
        fds.append(fd)
        return len(fds) - 1

    def pack(name: str, value: Any) -> Any:
        if callable(value):
            return None
        return to_data(with_descriptors(method.hints[name], value, place))

    positional = [pack(name, value) for name, value in zip(method.parameters, arguments, strict=False)]
    return {
        "call": method.name,
        "arguments": positional,
        "named": {name: pack(name, value) for name, value in named.items()},
    }, fds


def unpacked(
    method: Method, message: dict[str, Any], fds: list[int], callback: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of a message; callback: stands for the caller's."""

    def unpack(name: str, data: Any) -> Any:
        hint = method.hints[name]
        if is_callback(hint):
            return callback
        return with_descriptors(hint, from_data(hint, data, name), fds.__getitem__)

    positional = [unpack(name, data) for name, data in zip(method.parameters, message["arguments"], strict=False)]
    return positional, {name: unpack(name, data) for name, data in message["named"].items()}


def is_callback(hint: Any) -> bool:
    """Whether a parameter is a function of the caller's, such as `progress`."""
    from collections.abc import Callable
    from typing import get_origin

    return get_origin(hint) is Callable
