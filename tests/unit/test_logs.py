"""The log of a container: rotated within its bounds, read as one, followed while its files change places."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmanager.engine.logfiles import LogFiles
from cmanager.supervisor.log import Log, stamp

_OVERHEAD = len(stamp(0)) + len(" stdout F ")
_ENTRY = _OVERHEAD + len("line 0000\n")


def text(files: LogFiles) -> bytes:
    return b"".join(record.data for record in files.records())


def read(path: Path) -> bytes:
    files = LogFiles(f"{path}/log")
    try:
        return text(files)
    finally:
        files.close()


def lines(first: int, last: int) -> bytes:
    return b"".join(b"line %04d\n" % number for number in range(first, last))


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def test_without_a_bound_there_is_one_file(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log")
    log.write(b"stdout", lines(0, 5000), 1)
    assert names(tmp_path) == ["log"]
    assert read(tmp_path) == lines(0, 5000)


def test_a_bound_holds_whatever_a_chunk_brings(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log", max_size=1000, max_files=3)
    for first in range(0, 5000, 250):
        log.write(b"stdout", lines(first, first + 250), first)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 3000
    assert names(tmp_path) == ["log", "log.1", "log.2"]
    found = read(tmp_path)
    assert len(found.splitlines()) > 40
    assert found == lines(5000 - len(found.splitlines()), 5000)


def test_an_entry_longer_than_the_bound_has_a_file_of_its_own(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log", max_size=100, max_files=2)
    log.write(b"stdout", b"short\n", 1)
    log.write(b"stdout", b"x" * 5000, 2)
    assert names(tmp_path) == ["log", "log.1"]
    assert read(tmp_path) == b"short\n" + b"x" * 5000


def test_one_file_is_begun_anew(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log", max_size=200, max_files=1)
    log.write(b"stdout", lines(0, 100), 1)
    assert names(tmp_path) == ["log"]
    assert read(tmp_path).endswith(b"line 0099\n")
    assert (tmp_path / "log").stat().st_size <= 200


@given(
    chunks=st.lists(
        st.tuples(st.sampled_from([b"stdout", b"stderr"]), st.binary(min_size=1, max_size=300)), max_size=30
    ),
    max_size=st.integers(1, 500),
)
def test_nothing_is_changed_by_rotation(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[tuple[bytes, bytes]], max_size: int
) -> None:
    directory = tmp_path_factory.mktemp("log")
    log = Log(f"{directory}/log", max_size, max_files=10**6)
    for number, (stream, chunk) in enumerate(chunks):
        log.write(stream, chunk, number)
    log.close()
    files = LogFiles(f"{directory}/log")
    records = [*files.records()]
    files.close()
    for stream in (b"stdout", b"stderr"):
        written = b"".join(chunk for name, chunk in chunks if name == stream)
        assert b"".join(record.data for record in records if record.stream == stream) == written
    assert [record.time for record in records] == sorted(record.time for record in records)
    assert all(file.stat().st_size <= max(max_size, 300 + _OVERHEAD + 1) for file in directory.iterdir())


def test_a_second_life_appends_and_goes_on_rotating(tmp_path: Path) -> None:
    for life in range(10):
        log = Log(f"{tmp_path}/log", max_size=400, max_files=50)
        log.write(b"stdout", lines(life * 20, life * 20 + 20), life)
        log.close()
    assert read(tmp_path) == lines(0, 200)
    assert len(names(tmp_path)) > 10


@pytest.mark.parametrize("rotations", [0, 1, 2, 7])
def test_who_reads_on_sees_every_line_once(tmp_path: Path, rotations: int) -> None:
    log = Log(f"{tmp_path}/log", max_size=10 * _ENTRY, max_files=10)
    log.write(b"stdout", lines(0, 5), 1)
    files = LogFiles(f"{tmp_path}/log")
    assert text(files) == lines(0, 5)
    assert text(files) == b""
    log.write(b"stdout", lines(5, 8 + 10 * rotations), 2)
    assert len(names(tmp_path)) == 1 + rotations
    assert text(files) == lines(5, 8 + 10 * rotations)
    log.write(b"stdout", b"more", 3)
    assert text(files) == b"more"
    files.close()


def test_files_that_move_while_they_are_read_are_read_once(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log", max_size=10 * _ENTRY, max_files=100)
    log.write(b"stdout", lines(0, 30), 1)
    files, found, written = LogFiles(f"{tmp_path}/log"), b"", 30
    for number, record in enumerate(files.records()):
        found += record.data
        if number < 40:
            log.write(b"stdout", lines(written, written + 15), 2)  # one or two rotations between any two lines
            written += 15
    assert found == lines(0, written)
    files.close()


def test_what_was_removed_meanwhile_is_read_by_who_has_begun(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log", max_size=10 * _ENTRY, max_files=3)
    log.write(b"stdout", lines(0, 30), 1)
    files = LogFiles(f"{tmp_path}/log")
    records = files.records()
    found = next(records).data
    log.write(b"stdout", lines(30, 50), 2)
    found += b"".join(record.data for record in records)
    assert found == lines(0, 50)
    files.close()


def test_who_is_too_slow_loses_what_is_gone_and_nothing_else(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log", max_size=10 * _ENTRY, max_files=3)
    log.write(b"stdout", lines(0, 10), 1)
    files = LogFiles(f"{tmp_path}/log")
    assert text(files) == lines(0, 10)
    log.write(b"stdout", lines(10, 95), 2)
    assert text(files) == lines(70, 95)
    files.close()


def test_a_rotation_that_was_killed_leaves_a_readable_log(tmp_path: Path) -> None:
    for name, number in (("log.4", 0), ("log.2", 1), ("log.1", 2)):
        log = Log(f"{tmp_path}/{name}")
        log.write(b"stdout", lines(number, number + 1), 1)
    assert read(tmp_path) == lines(0, 3)
    log = Log(f"{tmp_path}/log", max_size=1, max_files=10)
    log.write(b"stdout", lines(3, 6), 2)
    assert read(tmp_path) == lines(0, 6)


def test_an_entry_whose_writer_was_killed_spoils_no_other(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log")
    log.write(b"stdout", lines(0, 3), 1)
    os.truncate(tmp_path / "log", (tmp_path / "log").stat().st_size - 20)
    log = Log(f"{tmp_path}/log")
    log.write(b"stdout", lines(3, 4), 1)
    assert read(tmp_path).splitlines()[:2] == [b"line 0000", b"line 0001"]
    assert read(tmp_path).endswith(lines(3, 4))


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Files of this process may have so many bytes (EFBIG, as a full disk in the middle of a write)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_full_disk_does_not_take_is_counted_and_no_entry_is_torn(tmp_path: Path) -> None:
    log = Log(f"{tmp_path}/log")
    with full_at(5 * _ENTRY + 11):
        log.write(b"stdout", lines(0, 9), 1)
        assert log.dropped == 4 * _ENTRY
    log.write(b"stdout", lines(9, 10), 2)
    assert read(tmp_path) == lines(0, 5) + lines(9, 10)
