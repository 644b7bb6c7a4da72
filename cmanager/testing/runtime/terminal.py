"""A terminal of the container's own (`Stdio.console`)."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ...linux import terminals
from .base import Base
from .box import Box
from .supervisor import supervised

_PATIENCE = 10  # seconds


@supervised
class TerminalSuite(Base):
    """What `process.terminal` asks."""

    def test_the_program_has_a_terminal_for_all_three(self, box: Box) -> None:
        script = "for fd in 0 1 2; do test -t $fd && echo yes; done; exit 5"
        with _on_terminal(box, script, 5) as master:
            assert _all(master).split() == [b"yes"] * 3

    def test_what_is_typed_arrives_and_is_echoed(self, box: Box) -> None:
        with _on_terminal(box, "echo ready; read line; echo got $line", 0) as master:
            _until(master, b"ready")
            os.write(master, b"word\n")
            _until(master, b"got word")

    def test_control_c_interrupts_what_is_in_the_foreground(self, box: Box) -> None:
        with _on_terminal(box, 'trap "echo caught; exit 7" INT; echo ready; read line', 7) as master:
            _until(master, b"ready")
            os.write(master, b"\x03")
            _until(master, b"caught")

    def test_a_change_of_its_size_is_heard(self, box: Box) -> None:
        script = 'trap "busybox stty size; exit" WINCH; echo ready; while :; do sleep 0.05; done'
        with _on_terminal(box, script, 0) as master:
            _until(master, b"ready")
            terminals.resize(master, 33, 77)
            _until(master, b"33 77")


@contextmanager
def _on_terminal(box: Box, script: str, code: int) -> Iterator[int]:
    """The master of the terminal that a shell script runs on, which then ends with this exit code."""
    box.needs("terminal")
    master = box.open_terminal(box.config("sh", "-c", script))
    yield master
    assert box.wait() == code
    box.delete()
    os.close(master)


def _until(master: int, word: bytes) -> bytes:
    """Read until `word` has been shown."""
    said, deadline = b"", time.monotonic() + _PATIENCE
    while word not in said:
        assert select.select([master], [], [], deadline - time.monotonic())[0], f"{word!r} was not shown: {said!r}"
        said += os.read(master, 4096)
    return said


def _all(master: int) -> bytes:
    """Read until nobody has the terminal open any more (EIO, pty(7))."""
    said = b""
    try:
        while chunk := os.read(master, 4096):
            said += chunk
    except OSError:
        return said
    return said
