"""The conformance suites find faults: each mutant is a provider with one, and the whole of its suite is run over it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cmanager.linux import cgroups
from cmanager_cgroup.limiter import CgroupLimiter

from ..e2e.conftest import registry
from ..seams.test_runtime import busybox
from . import accounting, cover, image, limiter, network, runtime, storage
from .mutant import Mutant, run
from .table import ROW

__all__ = ["busybox", "registry"]

pytestmark = pytest.mark.root

MUTANTS: list[Mutant] = [
    *image.MUTANTS,
    *storage.MUTANTS,
    *network.MUTANTS,
    *limiter.MUTANTS,
    *accounting.MUTANTS,
    *cover.MUTANTS,
    *runtime.MUTANTS,
]
#: One of each suite and provider, to be tried without its fault.
SOUND = list({(mutant.suite, mutant.of): mutant for mutant in MUTANTS}.values())
LEAST_SHARE = 0.9


def named(mutant: Mutant) -> str:
    return f"{mutant.suite.__name__.removesuffix('Suite').lower()} {mutant.does}"


@pytest.fixture(scope="module")
def caught() -> list[bool]:
    """Of each that was tried."""
    return []


@pytest.fixture
def place(tmp_path: Path, busybox: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where one is tried; what it forgets to remove is removed afterwards."""
    monkeypatch.setenv("CMANAGER_TEST_BUSYBOX", str(busybox))
    yield tmp_path
    sound = CgroupLimiter(limiter.PARENT)
    for id in sound.owned():
        sound.remove(id)
    for hierarchy in cgroups.hierarchies():
        with suppress(FileNotFoundError):
            os.rmdir(hierarchy.path(limiter.PARENT))
        for left in Path(hierarchy.mountpoint).glob("cmanager-cover-*"):
            for below, _, _ in os.walk(left, topdown=False):
                os.rmdir(below)
    shutil.rmtree(tmp_path / "tmp", ignore_errors=True)


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(m, id=named(m), marks=() if m.everyday else pytest.mark.slow) for m in MUTANTS],
)
def test_a_mutant_is_tried(mutant: Mutant, place: Path, caught: list[bool], record_property: Any) -> None:
    began = time.monotonic()
    verdict = run(mutant, place, place / "log")
    caught.append(bool(verdict.caught_by))
    how = f"caught by {verdict.caught_by}: {verdict.because:.100}" if verdict.caught_by else "MISSED: all passed"
    record_property(ROW, f"{named(mutant):55} {how} ({time.monotonic() - began:.1f} s)")


@pytest.mark.slow
@pytest.mark.parametrize("mutant", SOUND, ids=lambda m: f"{m.suite.__name__} {m.of}")
def test_without_the_fault_it_passes(mutant: Mutant, place: Path) -> None:
    verdict = run(mutant, place, place / "log", spoilt=False)
    assert verdict.caught_by == "", verdict.because


def test_nine_in_ten_are_caught(caught: list[bool]) -> None:
    """Of those that this run tried, which the table at its end lists."""
    if not caught:
        pytest.skip("no mutant was tried before this")
    assert sum(caught) >= LEAST_SHARE * len(caught), "too many were missed, see the table"
