"""The table of mutants, at the end of the run."""

from __future__ import annotations

from typing import Any

import pytest

from .mutant import Mutant, Verdict

#: What was found of each, as it is tried.
TABLE = pytest.StashKey[list[tuple[Mutant, Verdict]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = []


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> list[tuple[Mutant, Verdict]]:
    """Where verdicts are written down."""
    found: list[tuple[Mutant, Verdict]] = request.config.stash[TABLE]
    return found


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash.get(TABLE, [])
    if not rows:
        return
    caught = sum(bool(verdict.caught_by) for _, verdict in rows)
    terminalreporter.section(f"mutants: {caught} of {len(rows)} caught", sep="=")
    for mutant, verdict in rows:
        how = f"caught by {verdict.caught_by}: {verdict.because:.100}" if verdict.caught_by else "MISSED: all passed"
        terminalreporter.line(f"{mutant.seam:8} {mutant.does:45} {how} ({verdict.seconds:.1f} s)")
