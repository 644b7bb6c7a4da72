"""The journal of events: ordered, bounded, followed across rotation, and readable after a writer was killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from cmanager.state.journal import Entry, Journal


def write(journal: Journal, *actions: str) -> list[int]:
    return [journal.append("container", action, "f" * 64, {"name": "box"}) for action in actions]


def actions(journal: Journal, since: int = 0) -> list[str]:
    return [entry.action for entry in journal.read(since, time.time_ns() + 10**6)]


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/events")
    times = write(journal, "create", "start", "die")
    found = list(journal.read(0, times[-1]))
    assert [entry.time for entry in found] == times == sorted(set(times))
    assert found[1] == Entry(times[1], "container", "start", "f" * 64, {"name": "box"})


def test_both_ends_of_a_span_belong_to_it(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/events")
    times = write(journal, "create", "start", "die", "destroy")
    assert [entry.action for entry in journal.read(times[1], times[2])] == ["start", "die"]


def test_time_never_runs_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(f"{tmp_path}/events")
    (first,) = write(journal, "create")
    monkeypatch.setattr(time, "time_ns", lambda: first - 10**9)
    assert write(journal, "start", "die") == [first + 1, first + 2]


def test_rotation_keeps_one_older_file_and_the_order(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/events", limit=1000)
    times = [time for n in range(100) for time in write(journal, f"a{n}")]
    assert times == sorted(set(times))
    assert sorted(os.listdir(tmp_path / "events")) == ["journal", "journal.1", "lock"]
    assert sum(path.stat().st_size for path in (tmp_path / "events").iterdir()) < 2500
    found = actions(journal)
    assert found == [f"a{n}" for n in range(100 - len(found), 100)]
    assert len(found) > 5


def test_who_follows_misses_nothing_when_files_change_under_him(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/events", limit=1000)
    write(journal, "before")
    seen: list[str] = []

    def follow() -> None:
        for entry in journal.read(0):
            seen.append(entry.action)
            if entry.action == "last":
                return

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    for n in range(60):
        write(journal, f"a{n}")
        # One file's worth at a time is what the older file holds for a reader that lags.
        while len(seen) < n + 2 and reader.is_alive():
            time.sleep(0.001)
    write(journal, "last")
    reader.join(20)
    assert seen == ["before", *(f"a{n}" for n in range(60)), "last"]


def test_an_end_in_the_future_is_waited_for(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/events")
    began = time.monotonic()
    assert list(journal.read(None, time.time_ns() + 300_000_000)) == []
    assert time.monotonic() - began >= 0.25


def _many(directory: str, name: str) -> None:
    journal = Journal(directory, limit=20_000)
    for n in range(100):
        journal.append("container", "start", name, {"n": str(n), "long": "x" * 50})


def test_writers_at_once_do_not_mix_their_lines(tmp_path: Path) -> None:
    processes = [multiprocessing.Process(target=_many, args=(f"{tmp_path}/events", str(n))) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    lines = b"".join((tmp_path / "events" / name).read_bytes() for name in ("journal.1", "journal")).splitlines()
    found = [json.loads(line) for line in lines]
    assert [entry["time"] for entry in found] == sorted({entry["time"] for entry in found})
    for name in "0123":
        numbers = [int(entry["attributes"]["n"]) for entry in found if entry["id"] == name]
        assert numbers == list(range(100))[100 - len(numbers) :]


@pytest.mark.parametrize("torn", [b'{"time": 1, "kind": "cont', b"\xff\x00\n", b"[]\n", b'{"time": "x"}\n'])
def test_what_a_killed_writer_left_costs_that_line_alone(tmp_path: Path, torn: bytes) -> None:
    journal = Journal(f"{tmp_path}/events")
    write(journal, "create")
    with open(tmp_path / "events" / "journal", "ab") as file:
        file.write(torn)
    assert actions(journal) == ["create"]
    write(journal, "start")
    assert actions(journal) == ["create", "start"]


def test_odd_bytes_of_a_label_are_kept(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/events")
    odd = os.fsdecode(b"\xff\n\x1b")
    now = journal.append("container", "create", "id", {"label": odd})
    assert next(journal.read(0, now)).attributes == {"label": odd}
