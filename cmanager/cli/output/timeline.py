"""Where the time of a command went: a table of phases that do not overlap, or a document."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise

from attrs import evolve

from ...linux.values import frozen
from ...supervisor.steps import Mark, Timeline

#: Gaps, and rests of a phase that was interrupted, have no row when they are shorter but belong to the row before.
_SHORTEST = 50e-6  # seconds
_ENDS = {"do": "done", "undo": "undone"}


@frozen
class Phase:
    """A row: a phase of a part from `start` on, `took` seconds long. A gap between phases has no part."""

    part: str
    name: str
    start: float
    took: float


def tell(timeline: Timeline, style: str) -> None:
    """Print on stderr where the time went until now. style: "text" or "json"."""
    found = phases(timeline.marks, time.monotonic())
    with suppress(OSError):  # nobody reads it
        print(document(found) if style == "json" else table(found), file=sys.stderr, flush=True)


def document(found: Sequence[Phase]) -> str:
    """`cmanager.time/1`, in one line: programs may write to stderr too."""
    items = []
    for row in found:
        start, took = (round(seconds * 1e3, 3) for seconds in (row.start, row.took))
        items.append({"part": row.part, "phase": row.name, "start_ms": start, "took_ms": took})
    return json.dumps({"schema": "cmanager.time/1", "items": items})


def table(found: Sequence[Phase]) -> str:
    """A line a phase, and one for all of them."""
    rows = [("PART", "PHASE", "START MS", "TOOK MS")]
    rows += [(row.part, row.name, f"{row.start * 1e3:.2f}", f"{row.took * 1e3:.2f}") for row in found]
    rows += [("", "total", "", f"{sum(row.took for row in found) * 1e3:.2f}")]
    name = max(len(row[1]) for row in rows)
    return "\n".join(f"{part:<10}{phase:<{name}}{start:>11}{took:>10}" for part, phase, start, took in rows)


def phases(marks: Sequence[tuple[str, Mark]], end: float) -> list[Phase]:
    """What lies between the first of these marks and `end`, from 0 on, without a hole and without an overlap.

    Of phases that are open at once the one that is last in `marks` has the time: a step within a step, and what a
    supervisor does while the command waits, or gets on with something nobody waits for. So a phase may have more rows
    than one. The time takes the square of the number of marks.
    """
    spans = list(_spans(marks, end))
    moments = sorted({moment for span in spans for moment in (span.start, span.start + span.took)} | {end})
    rows: list[Phase] = []
    seen = set[int]()
    for start, until in pairwise(moments):
        number, owner = next(
            ((n, s) for n, s in reversed(list(enumerate(spans))) if s.start <= start and s.start + s.took >= until),
            (-1, Phase("", "between", start, 0)),
        )
        begins = number >= 0 and number not in seen
        seen.add(number)
        same = rows and (rows[-1].part, rows[-1].name) == (owner.part, owner.name)
        if rows and not begins and (same or until - start < _SHORTEST):
            rows[-1] = evolve(rows[-1], took=until - moments[0] - rows[-1].start)
        else:
            rows.append(evolve(owner, start=start - moments[0], took=until - start))
    return rows


def _spans(marks: Sequence[tuple[str, Mark]], end: float) -> Iterator[Phase]:
    """Each phase whose begin is known; one without an end ended at the next mark."""
    for number, (part, (name, phase, moment)) in enumerate(marks):
        if phase not in _ENDS:
            continue
        later = [mark for _, mark in marks[number + 1 :]]
        ends = [at for other, kind, at in later if (other, kind) == (name, _ENDS[phase])]
        until = next(iter(ends), later[0][2] if later else end)
        yield Phase(part, name if phase == "do" else f"undo {name}", moment, until - moment)
