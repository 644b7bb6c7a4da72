"""Between a command and the supervisor of the container it is attached to.

One SOCK_SEQPACKET socket; each packet is a letter and its payload. From the client: `0` data for stdin, empty for its
end; `r` the window's rows and columns in decimal. From the supervisor: `1` and `2` output; `u` JSON: what the container
used, an object, or the marks of steps (steps.py), a list; `x` the exit code in decimal, which is the last packet. The
client reads and writes its own descriptors, so that terminals, pipes and job control are the kernel's and the caller's
business.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..errors import ConflictError, HostError
from .keys import Detach

CHUNK = 65536
STDIN, STDOUT, STDERR, RESIZE, NEWS, EXIT = b"0", b"1", b"2", b"r", b"u", b"x"


def channel() -> tuple[socket.socket, socket.socket]:
    """The client's and the supervisor's end; both close on exec."""
    client, supervisor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    prepare(client)
    prepare(supervisor)
    return client, supervisor


def prepare(end: socket.socket) -> None:
    """Room for some packets, so that neither side waits for the other at each."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * CHUNK)


def connect(path: str) -> socket.socket:
    """A channel to the supervisor that listens at `path`; ConflictError when nobody does."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory, _, name = path.rpartition("/")
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            end.connect(f"/proc/self/fd/{fd}/{name}")
        finally:
            os.close(fd)
    except (FileNotFoundError, ConnectionRefusedError):
        end.close()
        raise ConflictError(f"nothing listens at {path}, the container has just ended") from None
    except OSError as error:
        end.close()
        raise HostError.of("attach at", path, error) from None
    prepare(end)
    return end


def resize(end: socket.socket, rows: int, columns: int) -> None:
    """Tell the size of the client's window."""
    with suppress(OSError):
        end.send(RESIZE + b"%d %d" % (rows, columns))


def pump(
    end: socket.socket,
    stdin: int,
    stdout: int,
    stderr: int,
    handlers: dict[int, Callable[[int], None]],
    detach: Detach,
    told: Callable[[bytes], None] = lambda payload: None,
) -> int | None:
    """Move data until the container ends; returns its exit code, or None when the supervisor vanished.

    stdin: -1 for none; handlers: called with a signal that this process gets meanwhile, in the flow of the pump (main
    thread only); detach: looks for the detach keys in what is typed and raises at their end; told: called with each
    news. An output nobody reads any more is dropped: the container goes on.
    """
    outputs = {STDOUT: stdout, STDERR: stderr}
    unsent: bytes | None = None  # a packet there was no room for; nothing more is read meanwhile
    with _woken(handlers) as wake:
        try:
            while True:
                poller = select.poll()
                poller.register(end, select.POLLIN | (select.POLLOUT if unsent else 0))
                poller.register(wake, select.POLLIN)
                if stdin >= 0 and not unsent:
                    poller.register(stdin, select.POLLIN)
                ready = dict(poller.poll())
                if wake in ready:
                    for number in os.read(wake, 512):
                        if number in handlers:
                            handlers[number](number)
                if ready.get(end.fileno(), 0) & ~select.POLLOUT:
                    packet = end.recv(CHUNK + 1)
                    if not packet:
                        return None
                    kind, payload = packet[:1], packet[1:]
                    if kind == EXIT:
                        return int(payload)
                    if kind == NEWS:
                        told(payload)
                        continue
                    outputs[kind] = _write(outputs[kind], payload)
                if unsent:
                    unsent = _send(end, unsent)
                elif stdin in ready:
                    data = _read(stdin)
                    passed = detach(data)
                    if passed or not data:
                        unsent = _send(end, STDIN + passed)
                    stdin = stdin if data else -1
        except ConnectionResetError:
            return None


@contextmanager
def _woken(handlers: dict[int, Callable[[int], None]]) -> Iterator[int]:
    """A descriptor that becomes readable with the numbers of signals that have handlers."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    old_wake, old = -1, {}
    if handlers:
        old_wake = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        old = {number: signal.signal(number, _noted) for number in handlers}
    try:
        yield read
    finally:
        if handlers:
            signal.set_wakeup_fd(old_wake)
            for number, handler in old.items():
                signal.signal(number, handler)
        os.close(read)
        os.close(write)


def _noted(number: int, frame: object) -> None:
    """The wakeup descriptor has the number; nothing may happen between two byte codes."""


def _read(stdin: int) -> bytes:
    try:
        return os.read(stdin, CHUNK)
    except OSError:
        return b""


def _send(end: socket.socket, packet: bytes) -> bytes | None:
    """None when it was sent, or nobody is there to take it; the packet when there is no room.

    Never waits: whoever waits here reads no output, and a program that cannot write reads no input.
    """
    try:
        end.send(packet, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return packet
    except (BrokenPipeError, ConnectionResetError):
        return None
    return None


def _write(fd: int, data: bytes) -> int:
    if fd < 0:
        return fd
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except BlockingIOError:
        # The caller's descriptor is shared and non-blocking: wait for room and go on.
        select.select([], [fd], [])
        return _write(fd, bytes(view))
    except OSError:
        return -1
    return fd
