"""What pytest's report says of the providers that were tried."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from functools import cache
from typing import Any

import pytest

from .. import __version__
from ..plugins import Plugins, load_config
from ..seams import API
from .suite import Suite

_OUTCOMES = ("passed", "failed", "error", "skipped")


def title(suite: type[Suite]) -> str:
    """Seam, provider and version: "network mine (cmanager-mine 1.0), api 1"."""
    if not isinstance(suite.provider, str) or not suite.provider:
        return f"{suite.seam} provider of {suite.__module__}.{suite.__qualname__}, api {API}"
    return f"{suite.seam} {suite.provider} ({version(suite.seam, suite.provider)}), api {API}"


@cache
def version(seam: str, name: str) -> str:
    """The distribution and its version; where a plugins.toml names the module, that file and line instead."""
    config = load_config(os.environ.get("CMANAGER_CONFIG"))
    if installed := Plugins(config, "", "").version(seam, name):
        return installed
    key, shipped = f"{seam}.{name}", load_config(config.files[-1])
    return f"cmanager {__version__}" if config.plugins.get(key) == shipped.plugins.get(key) else config.where(name)


def contract(item: pytest.Item, suite: type[Suite]) -> str:
    """The promise that a test is about, in plain words, and where it is written down."""
    words = " ".join(getattr(item, "originalname", item.name).removeprefix("test_").split("_"))
    told = inspect.getdoc(getattr(item, "function", None))
    seams = suite.ability.__module__.rpartition(".")[0]
    return f"{words[:1].upper()}{words[1:]}{f': {told}' if told else '.'}\nSee {seams}.{suite.ability.__name__}."


def summary(reporter: Any, *, reasons: bool) -> None:
    """One line a provider, and with `reasons` one for each reason why something was skipped."""
    counts: dict[str, Counter[str]] = {}
    skipped: dict[str, Counter[str]] = {}
    for outcome in _OUTCOMES:
        for report in reporter.stats.get(outcome, ()):
            about = dict(getattr(report, "user_properties", ())).get("cmanager")
            if about:
                counts.setdefault(about, Counter())[outcome] += 1
                if outcome == "skipped":
                    skipped.setdefault(about, Counter())[reason(report)] += 1
    if counts:
        reporter.section("cmanager", sep="=")
    for about, found in counts.items():
        said = ", ".join(f"{found[outcome]} {outcome}" for outcome in _OUTCOMES if found[outcome])
        reporter.line(f"{about}: {said}")
        for why, count in skipped.get(about, Counter()).most_common() if reasons else ():
            reporter.line(f"    {count} skipped: {why}")


def reason(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    said = report.longrepr
    return str(said[2] if isinstance(said, tuple) else said).removeprefix("Skipped: ")
