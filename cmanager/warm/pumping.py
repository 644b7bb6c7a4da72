"""The client's side of a program that is attached to its terminal; loaded when it gets the attach socket."""

from __future__ import annotations

import _socket
import socket

from ..errors import CmanagerError
from ..supervisor.keys import Detached
from ..supervisor.moving import How, move


def pump(connection: _socket.socket, attached: int, how: bytes) -> None:
    """Move the streams of `attached` until the program ends, and tell the worker how it did (handing.py)."""
    *numbers, keys = how.split(b" ", 6)
    tty, late, forward, stdin, stdout, stderr = map(int, numbers)
    asked = How(
        tty=bool(tty),
        late=bool(late),
        forward=bool(forward),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        detach_keys=keys,
    )

    def send(number: int) -> None:
        connection.send(b"s%d" % number)

    def told(payload: bytes) -> None:
        connection.send(b"u" + payload)

    with socket.socket(fileno=attached) as end:
        try:
            code = move(end, asked, send, told)
            word = b"l" if code is None else b"x%d" % code
        except Detached:
            word = b"d"
        except CmanagerError as error:
            word = b"e" + str(error).encode()
        except OSError as error:  # of a terminal that has gone
            word = b"e" + f"cannot move its streams: {error}".encode()
    connection.send(word)
