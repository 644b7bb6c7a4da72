"""Where the time of a command went, from what its steps' observer was told."""

from __future__ import annotations

import json

import pytest

from cmanager.cli.output.timeline import document, phases, table
from cmanager.supervisor.steps import Mark, Step, Timeline, run


def marks(part: str, *words: str) -> list[tuple[str, Mark]]:
    """ "check do 1" is the step `check` that begins after 1 ms."""
    return [(part, (*word.rsplit(" ", 2)[:2], float(word.rsplit(" ", 1)[1]) / 1000)) for word in words]  # type: ignore[misc]


def rows(found: list[tuple[str, Mark]], end: float) -> list[tuple[str, float, float]]:
    """Name, start and length of each, in ms; they cover the time to its end, in order and once."""
    got = phases(found, end / 1000)
    at = 0.0
    for row in got:
        assert row.start == pytest.approx(at)
        at += row.took
    assert at == pytest.approx(end / 1000 - min(moment for _, (_, _, moment) in found))
    return [(row.name, round(row.start * 1000, 3), round(row.took * 1000, 3)) for row in got]


def test_steps_follow_each_other_and_gaps_are_shown() -> None:
    found = marks("create", "check do 1", "check done 3", "image do 3", "image done 4", "record do 6", "record done 7")
    assert rows(found, 8) == [
        ("check", 0, 2),
        ("image", 2, 1),
        ("between", 3, 2),
        ("record", 5, 1),
        ("between", 6, 1),
    ]


def test_a_gap_too_short_to_matter_belongs_to_the_phase_before() -> None:
    found = marks("create", "check do 0", "check done 2", "image do 2.04", "image done 3", "record do 3.06")
    assert rows(found, 4) == [("check", 0, 2.04), ("image", 2.04, 0.96), ("between", 3, 0.06), ("record", 3.06, 0.94)]


def test_a_step_has_a_row_however_short_it_is() -> None:
    found = marks("start", "a do 0", "a done 1", "b do 1", "b done 1.001", "c do 1.001", "c done 2")
    assert rows(found, 2) == [("a", 0, 1), ("b", 1, 0.001), ("c", 1.001, 0.999)]


def test_a_step_within_a_step_has_its_time() -> None:
    found = marks("start", "supervisor do 0", "mount do 2", "mount done 3", "start do 3", "start done 5")
    found += marks("start", "supervisor done 6")
    assert rows(found, 6) == [("supervisor", 0, 2), ("mount", 2, 1), ("start", 3, 2), ("supervisor", 5, 1)]


def test_what_a_command_does_while_the_program_runs_is_no_phase() -> None:
    found = marks("start", "supervisor do 0", "start do 1", "start done 2", "supervisor done 4")
    found += marks("run", "program do 2", "record do 8", "record done 9", "attached do 9", "attached done 10")
    expected = [("supervisor", 0, 1), ("start", 1, 1), ("program", 2, 6), ("record", 8, 1), ("attached", 9, 1)]
    assert rows(found, 10) == expected


def test_a_phase_without_an_end_ended_where_the_next_mark_is() -> None:
    """Those before the steps only begin; a step that failed is over when something is undone."""
    found = marks("command", "client do 0", "worker do 8", "engine do 11")
    found += marks("create", "check do 12", "check done 13", "record do 13", "record undo 15", "record undone 16")
    assert rows(found, 17) == [
        ("client", 0, 8),
        ("worker", 8, 3),
        ("engine", 11, 1),
        ("check", 12, 1),
        ("record", 13, 2),
        ("undo record", 15, 1),
        ("between", 16, 1),
    ]


def test_the_table_ends_with_the_sum() -> None:
    found = marks("create", "check do 1", "check done 3.5", "a longer name do 4", "a longer name done 1004")
    assert table(phases(found, 1.004)).splitlines() == [
        "PART      PHASE           START MS   TOOK MS",
        "create    check               0.00      2.50",
        "          between             2.50      0.50",
        "create    a longer name       3.00   1000.00",
        "          total                      1003.00",
    ]


def test_the_document_is_one_line_of_numbers() -> None:
    found = phases(marks("create", "check do 1", "check done 3.5"), 0.004)
    assert "\n" not in document(found)
    assert json.loads(document(found)) == {
        "schema": "cmanager.time/1",
        "items": [
            {"part": "create", "phase": "check", "start_ms": 0, "took_ms": 2.5},
            {"part": "", "phase": "between", "start_ms": 2.5, "took_ms": 0.5},
        ],
    }


def test_a_timeline_hears_of_every_step_and_of_what_is_undone() -> None:
    timeline = Timeline("create")

    def fail() -> None:
        raise ValueError("as it should")

    steps = [Step("a", "", lambda: 1, lambda: None), Step("b", "", lambda: 2), Step("c", "", fail, lambda: None)]
    with pytest.raises(ValueError, match="as it should"):
        run(steps, timeline)
    told = ["a do", "a done", "b do", "b done", "c do", "c undo", "c undone", "a undo", "a undone"]
    assert [f"{name} {phase}" for _, (name, phase, _) in timeline.marks] == told
    moments = [moment for _, (_, _, moment) in timeline.marks]
    assert moments == sorted(moments)
