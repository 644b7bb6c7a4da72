"""A provider with one fault, and what the kit finds when it tries it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
from attrs import field, frozen

from cmanager.linux import mounts, syscalls
from cmanager.model import Context
from cmanager.seams import SEAMS
from cmanager.testing import Suite
from cmanager.testing.named import Named, named
from cmanager.testing.runtime.supervisor import end_descendants

_LAST_WORDS = re.compile(r"[\w.]+: |DID NOT RAISE|the test")
_PR_SET_PDEATHSIG = 1  # prctl(2)
_PATIENCE = 150  # seconds for one
_PLAIN = ("-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-p", "cmanager.testing.plugin", "-c", "pytest.ini")


@frozen
class Mutant:
    """A fault.

    does: in plain words; suite: that must catch it; of: the provider it is put into, as "MODULE:NAME"; spoil: takes an
    instance of that and returns one with the fault; options: of the instance; everyday: tried in every run, the others
    in full ones.
    """

    does: str
    suite: type[Suite]
    of: str
    spoil: Callable[[Any], Any] = field(repr=False)
    options: dict[str, Any] = field(factory=dict)
    everyday: bool = False

    @property
    def seam(self) -> str:
        return self.suite.seam

    def sound(self, suite: Suite, place: Path) -> Any:
        """The provider without the fault, as its plugin makes it: a fault needs its insides."""
        module, _, name = self.of.partition(":")
        offered = getattr(import_module(module), SEAMS[self.seam][0])()
        provider = next(provider for provider in offered if provider.name == name)
        context = Context(f"{place}/state", f"{place}/run", str(place), shipped="", name=name)
        return provider.factory(context, provider.options(**suite.configure(place)) if provider.options else None)


@frozen
class Verdict:
    """What became of one: the first test that failed and its last words, "" for both where all passed."""

    caught_by: str
    because: str


class _Recorder:
    """A pytest plugin that keeps the first failure, and counts what passed."""

    def __init__(self) -> None:
        self.failure, self.because, self.passed = "", "", 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed += report.passed and report.when == "call"
        if report.failed and not self.failure:
            self.failure = report.nodeid.rpartition("::")[2]
            lines = report.longreprtext.splitlines()
            told = [line[1:].strip() for line in lines if line.startswith("E ")]
            # What failed in a supervisor comes as a plain traceback.
            self.because = told[0] if told else next(filter(_LAST_WORDS.match, reversed(lines)), "")


def becoming(kind: type) -> Callable[[Any], Any]:
    """For `Mutant.spoil`: the instance changes its class for a subclass with the fault."""

    def spoil(instance: Any) -> Any:
        instance.__class__ = kind
        return instance

    return spoil


def run(mutant: Mutant, place: Path, log: Path, *, spoilt: bool = True) -> Verdict:
    """The whole suite over the mutant until the first failure, in a forked process with mounts of its own.

    spoilt: False for the provider without the fault.
    """
    result = place / "result.json"
    pid = os.fork()
    if pid == 0:
        _try(mutant, place, result, log, spoilt)
    status = os.waitpid(pid, 0)[1]
    assert result.exists(), f"pytest did not end well ({status:#x}): {log.read_text()[-2000:]}"
    code, failure, because, passed = json.loads(result.read_text())
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), log.read_text()[-2000:]
    assert failure or passed, "nothing was tried"
    return Verdict(failure, because)


def _try(mutant: Mutant, place: Path, result: Path, log: Path, spoilt: bool) -> NoReturn:
    try:
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        sys.stdout = sys.stderr = os.fdopen(fd, "w")
        signal.alarm(_PATIENCE)
        syscalls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        mounts.make_private_namespace()
        os.chdir(place)
        Path("pytest.ini").write_text("[pytest]\n")

        def make(suite: Suite, directory: Path) -> Any:
            made = mutant.sound(suite, directory)
            return mutant.spoil(made) if spoilt else made

        suite = named(mutant.suite, mutant.of, make=make, options=mutant.options)
        mutant.sound(suite(), place / "try")  # what cannot be made at all is no mutant
        seen = _Recorder()
        code = pytest.main([*_PLAIN, "-x", f"--basetemp={place}/tmp"], plugins=[Named({"mutant": (suite,)}), seen])
        end_descendants()
        sys.stdout.flush()
        result.write_text(json.dumps([code, seen.failure, seen.because, seen.passed]))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(0)
