"""A pytest plugin: the table of mutants at the end of the run, whichever worker has tried them."""

from __future__ import annotations

from typing import Any

#: The property of a test's report that is a row of it.
ROW = "mutant"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    every = [report for reports in terminalreporter.stats.values() for report in reports]
    rows = [row for report in every for key, row in getattr(report, "user_properties", ()) if key == ROW]
    rows = list(dict.fromkeys(rows))  # the report of each phase has it
    if rows:
        caught = sum("MISSED" not in row for row in rows)
        terminalreporter.section(f"mutants: {caught} of {len(rows)} caught", sep="=")
        for row in rows:
            terminalreporter.line(row)
