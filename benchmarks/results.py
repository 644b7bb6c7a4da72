"""Figures as values: what was measured, and what is said of it; kept as JSON."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from typing import Any, Literal

from attrs import asdict, field, frozen

from .commands import Refused

SCHEMA = "cmanager.benchmark/1"


@frozen
class Row:
    """One contestant's samples, in the job's unit. against: the row its ratio refers to, "" for the job's first."""

    name: str
    samples: tuple[float, ...]
    against: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between them lies the middle half of the samples."""
        if len(self.samples) < 2:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high


@frozen
class Result:
    """One job. unit: "ms", "runs/s", …; better: whether "less" or "more" is; notes: what a reader must know too."""

    job: str
    about: str
    unit: str
    better: Literal["less", "more"]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def row(self, name: str) -> Row | None:
        return next((row for row in self.rows if row.name == name), None)

    def ratio(self, row: Row) -> float | None:
        """Its median to the one it is measured against; None where that is not there or is nothing."""
        against = self.row(row.against) if row.against else self.rows[0]
        return ratio(row, against) if against else None


@frozen
class Report:
    """A whole run. machine, versions: name to text; left_out, refused: a peer or job to why."""

    machine: dict[str, str]
    versions: dict[str, str]
    results: tuple[Result, ...] = ()
    left_out: dict[str, str] = field(factory=dict)
    refused: dict[str, str] = field(factory=dict)

    def result(self, job: str) -> Result | None:
        return next((result for result in self.results if result.job == job), None)


def ratio(row: Row, against: Row) -> float | None:
    """Median to median; None where the second is nothing."""
    return row.median / against.median if against.median else None


def to_json(report: Report) -> str:
    """The report with its samples, and the medians for those who only read."""
    data = asdict(report)
    for result, kept in zip(report.results, data["results"], strict=True):
        for row, entry in zip(result.rows, kept["rows"], strict=True):
            entry["median"] = row.median
            found = result.ratio(row)
            entry["ratio"] = found if found is not None and math.isfinite(found) else None
    return json.dumps({"schema": SCHEMA, **data}, indent=1)


def from_json(text: str) -> Report:
    """The reverse. Raises Refused for what is no such report."""
    try:
        data = json.loads(text)
        if data["schema"] != SCHEMA:
            raise Refused(f"a report of schema {data['schema']}, expected {SCHEMA}")
        results = tuple(_result(entry) for entry in data["results"])
        return Report(data["machine"], data["versions"], results, data["left_out"], data["refused"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"no report of a benchmark: {type(error).__name__}: {error}") from None


def _result(entry: dict[str, Any]) -> Result:
    rows = tuple(Row(row["name"], tuple(map(float, row["samples"])), row["against"]) for row in entry["rows"])
    return Result(entry["job"], entry["about"], entry["unit"], entry["better"], rows, tuple(entry["notes"]))


def merged(reports: Iterable[Report]) -> Report:
    """Several runs as one, a job that was measured again from the last. Raises Refused where anything else differs."""
    first, *rest = reports
    for report in rest:
        for what in ("machine", "versions"):
            theirs = getattr(report, what)
            for key, value in getattr(first, what).items():
                if theirs.get(key, value) != value:
                    raise Refused(f"{key} was {value!r} in one run and {theirs[key]!r} in another, measure again")
        known = {result.job: result for result in first.results} | {result.job: result for result in report.results}
        refused = {job: why for job, why in (first.refused | report.refused).items() if job not in known}
        first = Report(
            first.machine | report.machine,
            first.versions | report.versions,
            tuple(known.values()),
            first.left_out | report.left_out,
            refused,
        )
    return first
