"""Between a command and the supervisor of the container it is attached to.

One SOCK_SEQPACKET socket; each packet is a letter and its payload. From the client: `0` data for stdin, empty for its
end. From the supervisor: `1` and `2` output, `x` the exit code in decimal, which is the last packet. The client reads
and writes its own descriptors, so that terminals, pipes and job control are the kernel's and the caller's business.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

CHUNK = 65536
STDIN, STDOUT, STDERR, EXIT = b"0", b"1", b"2", b"x"
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def channel() -> tuple[socket.socket, socket.socket]:
    """The client's and the supervisor's end; both close on exec."""
    client, supervisor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (client, supervisor):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * CHUNK)
    return client, supervisor


def pump(
    end: socket.socket, stdin: int, stdout: int, stderr: int, on_signal: Callable[[int], None] | None = None
) -> int | None:
    """Move data until the container ends; returns its exit code, or None when the supervisor vanished.

    stdin: -1 for none. on_signal: called with each signal this process gets meanwhile (FORWARDED); None leaves signals
    alone. An output nobody reads any more is dropped: the container goes on.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    handlers = {}
    old_wake = -1
    if on_signal:
        old_wake = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, lambda *_: None) for number in FORWARDED}
    poller = select.poll()
    poller.register(end, select.POLLIN)
    poller.register(wake_read, select.POLLIN)
    if stdin >= 0:
        poller.register(stdin, select.POLLIN)
    outputs = {STDOUT: stdout, STDERR: stderr}
    try:
        while True:
            for fd, _ in poller.poll():
                if fd == end.fileno():
                    packet = end.recv(CHUNK + 1)
                    if not packet:
                        return None
                    kind, payload = packet[:1], packet[1:]
                    if kind == EXIT:
                        return int(payload)
                    outputs[kind] = _write(outputs[kind], payload)
                elif fd == wake_read:
                    for number in os.read(wake_read, 512):
                        if on_signal and number in handlers:
                            on_signal(number)
                elif not _send_stdin(end, stdin):
                    poller.unregister(stdin)
    except ConnectionResetError:
        return None
    finally:
        if on_signal:
            signal.set_wakeup_fd(old_wake)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        os.close(wake_read)
        os.close(wake_write)


def _send_stdin(end: socket.socket, stdin: int) -> bool:
    """Pass on what can be read; False at its end."""
    try:
        data = os.read(stdin, CHUNK)
    except OSError:
        data = b""
    with suppress(BrokenPipeError, ConnectionResetError):
        end.send(STDIN + data)
    return bool(data)


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
