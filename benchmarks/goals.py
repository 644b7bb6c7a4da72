"""What must hold, as ratios of medians in one run on one machine."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from .results import Report, ratio


@frozen
class Goal:
    """row to against, of one job, is at most `bound`, or at least."""

    text: str
    job: str
    row: str
    against: str
    bound: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


@frozen
class Verdict:
    """measured: the ratio, None where one of both was not measured."""

    goal: Goal
    measured: float | None

    @property
    def word(self) -> Literal["met", "missed", "not measured"]:
        if self.measured is None:
            return "not measured"
        met = self.measured >= self.goal.bound if self.goal.at_least else self.measured <= self.goal.bound
        return "met" if met else "missed"


GOALS = (
    Goal("run with bridge, warm, to bare runc run", "run", "cmanager, bridge", "bare runc", 1.0),
    Goal("run with bridge, warm, to docker's", "run", "cmanager, bridge", "docker, bridge", 0.08),
    Goal("run with bridge, cold, to docker's", "run", "cmanager cold, bridge", "docker, bridge", 0.6),
    Goal(
        "rate of forty runs with bridge, eight at a time, to docker's",
        "rate-40",
        "cmanager, 8 at a time",
        "docker, 8 at a time",
        12,
        at_least=True,
    ),
    Goal(
        "a container of Engine in one process, with bridge, to bare runc run", "api", "Engine, bridge", "bare runc", 0.5
    ),
    Goal("exec, warm, to docker exec", "exec", "cmanager", "docker", 0.3),
    Goal("ps of 100, warm, to docker ps", "growth", "cmanager, ps of 100", "docker, ps of 100", 0.7),
    Goal("ps of 500 to ps of 10", "growth", "cmanager, ps of 500", "cmanager, ps of 10", 3),
    Goal("memory of an idle container to docker's", "memory", "cmanager", "docker", 0.4),
    Goal(
        "start of the 500th to the 10th", "growth", "cmanager, start of the 500th", "cmanager, start of the 10th", 1.5
    ),
)


def verdicts(report: Report) -> tuple[Verdict, ...]:
    """One for each goal, in their order."""
    return tuple(Verdict(goal, _measured(goal, report)) for goal in GOALS)


def _measured(goal: Goal, report: Report) -> float | None:
    result = report.result(goal.job)
    row, against = (result.row(goal.row), result.row(goal.against)) if result else (None, None)
    return ratio(row, against) if row and against else None
