"""Log sinks: every line goes out once and whole, nothing waits, and what is lost is counted."""

from __future__ import annotations

import base64
import errno
import json
import os
import select
import socket
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmanager.errors import CmanagerError
from cmanager.model import LogSink
from cmanager.supervisor.sinks import Line, Lines, ProgramSink, Queue, Source, check, make
from cmanager.supervisor.sinks.lines import LONGEST

from ..support import journal_fields

_SOURCE = Source("f" * 64, "box", "busybox", {"tier": "web"})


def line(data: bytes, stream: bytes = b"stdout") -> Line:
    return Line(stream, data, 1_795_436_621_423_313_329)


class Fussy:
    """A receiver that takes what it is told to: numbers of bytes, or errors."""

    def __init__(self, *answers: int) -> None:
        self.answers, self.got, self.opened = list(answers), b"", 0

    def encode(self, line: Line) -> bytes:
        return line.data

    def open(self) -> int:
        self.opened += 1
        return os.open("/dev/null", os.O_WRONLY)

    def send(self, fd: int, message: memoryview) -> int:
        answer = self.answers.pop(0) if self.answers else len(message)
        if answer < 0:
            raise OSError(-answer, "pretended")
        self.got += message[:answer]
        return min(answer, len(message))


@given(st.lists(st.binary(max_size=3 * LONGEST), max_size=5))
def test_lines_are_the_chunks_in_other_portions(chunks: list[bytes]) -> None:
    lines = Lines()
    found = [part for chunk in chunks for part in lines.add(b"stdout", chunk, 1)]
    found += lines.rest()
    assert b"".join(part.data for part in found) == b"".join(chunks)
    assert all(part.data.count(b"\n") == part.whole and 0 < len(part.data) <= LONGEST for part in found)


def test_the_two_streams_do_not_mix_within_a_line() -> None:
    lines = Lines()
    found = [*lines.add(b"stdout", b"one ", 1), *lines.add(b"stderr", b"bad\n", 2), *lines.add(b"stdout", b"two\n", 3)]
    assert [(part.stream, part.data) for part in found] == [(b"stderr", b"bad\n"), (b"stdout", b"one two\n")]


def test_a_receiver_that_takes_little_gets_all_of_it() -> None:
    sink = Fussy(1, 2, -errno.EAGAIN, 3)
    queue = Queue(sink)
    queue.put(line(b"one two\n"))
    queue.put(line(b"three\n"))
    queue.flush()
    assert (sink.got, queue.wanted >= 0, queue.due) == (b"one", True, None)
    queue.flush()
    assert sink.got == b"one"  # not before there is room
    queue.writable()
    assert (sink.got, queue.empty, queue.wanted) == (b"one two\nthree\n", True, -1)


def test_a_receiver_that_comes_back_begins_with_a_whole_line() -> None:
    sink = Fussy(3, -errno.EPIPE)
    queue = Queue(sink)
    queue.put(line(b"one two\n"))
    queue.flush()
    assert queue.due is not None
    time.sleep(max(0.0, queue.due - time.monotonic()))
    queue.flush()
    assert (sink.got, sink.opened) == (b"one" + b"one two\n", 2)


def test_a_full_disk_goes_on_where_it_stopped() -> None:
    sink = Fussy(3, -errno.ENOSPC)
    queue = Queue(sink)
    queue.put(line(b"one two\n"))
    queue.flush()
    assert queue.due is not None
    time.sleep(max(0.0, queue.due - time.monotonic()))
    queue.flush()
    assert (sink.got, sink.opened) == (b"one two\n", 1)


def test_what_does_not_fit_is_dropped_and_counted_and_memory_is_bounded() -> None:
    sink = Fussy(-errno.EAGAIN)
    queue = Queue(sink, limit=10_000)
    for _ in range(1000):
        queue.put(line(b"x\n"))
        queue.flush()
    lost = queue.dropped
    assert lost.bytes == 2 * lost.lines
    assert 900 < lost.lines < 1000
    queue.writable()
    assert len(sink.got) == 2 * (1000 - lost.lines)
    queue.put(line(b"again\n"))
    queue.flush()
    assert sink.got.endswith(b"again\n")
    assert queue.dropped == lost


def test_what_waits_at_the_end_is_counted_too() -> None:
    queue = Queue(Fussy(-errno.EAGAIN))
    queue.put(line(b"one\n"))
    queue.flush()
    queue.close()
    assert (queue.dropped.lines, queue.dropped.bytes, queue.empty) == (1, 4, True)


def test_json_lines_are_dockers_and_keep_bytes_that_are_no_text(tmp_path: Path) -> None:
    sink = make(LogSink("json", f"{tmp_path}/log"), _SOURCE)
    found = json.loads(sink.encode(line("grün\n".encode(), b"stderr")))
    assert found == {
        "log": "grün\n",
        "stream": "stderr",
        "attrs": {"tier": "web"},
        "time": "2026-11-23T12:23:41.423313329Z",
    }
    odd = sink.encode(line(b"\xff\x00\n"))
    assert odd.count(b"\n") == 1
    assert json.loads(odd)["log"] == "\ufffd\x00\n"
    assert base64.b64decode(json.loads(odd)["bytes"]) == b"\xff\x00\n"


def test_syslog_messages_are_rfc_5424(tmp_path: Path) -> None:
    sink = make(LogSink("syslog", f"unix:{tmp_path}/log"), _SOURCE)
    host = socket.gethostname().encode()
    assert sink.encode(line(b"hello\n")) == (
        b"<30>1 2026-11-23T12:23:41.423313Z " + host + b" box ffffffffffff - - hello"
    )
    assert sink.encode(line(b"bad\n", b"stderr")).startswith(b"<27>1 ")


def test_journal_entries_carry_the_container_and_survive_any_byte(tmp_path: Path) -> None:
    sink = make(LogSink("journald", f"{tmp_path}/log"), _SOURCE)
    found = journal_fields(sink.encode(line(b"a\x00=\xff\n", b"stderr")))
    assert (found["MESSAGE"], found["PRIORITY"]) == (b"a\x00=\xff", b"3")
    assert (found["CONTAINER_ID"], found["CONTAINER_NAME"]) == (b"f" * 12, b"box")
    assert "CONTAINER_PARTIAL_MESSAGE" not in found
    assert journal_fields(sink.encode(line(b"piece")))["CONTAINER_PARTIAL_MESSAGE"] == b"true"


@pytest.mark.parametrize(
    ("kind", "target", "word"),
    [
        ("file", "/nowhere/log", "/nowhere"),
        ("file", "/", "directory"),
        ("json", "relative", "absolute"),
        ("syslog", "unix:/nowhere", "/nowhere"),
        ("syslog", "tcp:127.0.0.1:514", "udp"),
        ("syslog", "udp:127.0.0.1:0", "udp"),
        ("journald", "/nowhere", "journald"),
        ("program", "/nowhere", "there is none"),
        ("program", "/etc/passwd", "cannot be executed"),
        ("program", "/etc", "cannot be executed"),
        ("program", "relative", "absolute"),
        ("syslog", "unix:/dev/null", "/dev/null"),
    ],
)
def test_what_cannot_be_honoured_is_refused(kind: str, target: str, word: str) -> None:
    with pytest.raises(CmanagerError, match=word):
        check((LogSink(kind, target),))  # type: ignore[arg-type]


def test_a_place_cannot_be_two_sinks(tmp_path: Path) -> None:
    with pytest.raises(CmanagerError, match="two"):
        check((LogSink("json", f"{tmp_path}/log"), LogSink("file", f"{tmp_path}/log")))
    assert not (tmp_path / "log").exists()


def program(tmp_path: Path, script: str) -> ProgramSink:
    path = tmp_path / "ship"
    path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
    path.chmod(0o755)
    sink = make(LogSink("program", str(path)), _SOURCE)
    assert isinstance(sink, ProgramSink)
    return sink


def ended(sink: ProgramSink) -> list[tuple[bytes, int]]:
    while not sink.listen():
        select.select(sink.heard, [], [], 5)
    return sink.bury()


@pytest.mark.root
def test_a_program_is_given_the_lines_of_json_and_says_whose_they_are(tmp_path: Path) -> None:
    sink = program(tmp_path, 'cat > got; env > env; echo "one" >&2; printf "the last" >&2')
    queue = Queue(sink)
    queue.put(line(b"hello\n"))
    queue.flush()
    queue.close()
    assert ended(sink) == []
    assert (tmp_path / "got").read_bytes() == sink.encode(line(b"hello\n"))
    assert (
        dict(entry.split("=", 1) for entry in (tmp_path / "env").read_text().splitlines()).items()
        >= {
            "CONTAINER_ID": "f" * 64,
            "CONTAINER_NAME": "box",
            "IMAGE_NAME": "busybox",
        }.items()
    )
    assert "PYTHONPATH" not in (tmp_path / "env").read_text()
    assert (sink.said, sink.pid, sink.heard) == ("the last", 0, ())


@pytest.mark.root
def test_what_a_program_has_not_read_goes_to_the_next(tmp_path: Path) -> None:
    sink = program(tmp_path, "[ -e first ] && exec cat > rest; head -c 300 > first; exit 3")
    queue = Queue(sink)
    odd = b"\xff\xfe\n"
    for text in (b"one\n", b'{"log":"two"}\n', odd, b"three\n", b"four\n"):
        queue.put(line(text))
    queue.flush()
    left = ended(sink)
    assert sink.said == "it ended with exit code 3"
    assert [length for _, length in left] == [len(odd), 6, 5][-len(left) :]
    queue.resume(left)
    while sink.pid == 0:
        time.sleep(0.05)
        queue.flush()
    queue.close()
    assert ended(sink) == []
    first, rest = (tmp_path / "first").read_bytes(), (tmp_path / "rest").read_bytes().splitlines()
    assert json.loads(rest[-1])["log"] == "four\n"
    assert rest == [message.rstrip() for message, _ in left]
    assert first.startswith(b'{"log":"one')
    assert queue.dropped.lines == 0


@pytest.mark.root
def test_a_program_is_killed_with_its_children(tmp_path: Path) -> None:
    sink = program(tmp_path, "setsid sleep 4321 & sleep 4321")
    os.close(sink.open())
    found = subprocess.run(["pgrep", "-fx", "sleep 4321"], capture_output=True).stdout
    while found.count(b"\n") < 2:
        found = subprocess.run(["pgrep", "-fx", "sleep 4321"], capture_output=True).stdout
    sink.kill()
    ended(sink)
    assert subprocess.run(["pgrep", "-fx", "sleep 4321"], capture_output=True).stdout == b""


@pytest.mark.root
def test_a_program_that_ends_at_once_is_not_started_again_at_once(tmp_path: Path) -> None:
    sink = program(tmp_path, "exit 0")
    os.close(sink.open())
    ended(sink)
    with pytest.raises(BlockingIOError):
        sink.open()
    assert sink.pid == 0
