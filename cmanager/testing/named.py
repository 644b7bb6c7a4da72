"""`--cmanager-provider SEAM:NAME`: the suites over a provider that no test file names."""

from __future__ import annotations

import tempfile
import types
from pathlib import Path
from typing import Any

import pytest

from ..errors import CmanagerError, UnsupportedError
from ..seams import SEAMS
from . import suites
from .suite import Suite, find


class Module(pytest.Module):
    """A module of tests that stands in no file. suites: its classes."""

    suites: tuple[type[Suite], ...] = ()

    def _getobj(self) -> types.ModuleType:
        module = types.ModuleType(self.name)
        for suite in self.suites:
            setattr(module, suite.__name__, suite)
        return module


class Named:
    """A pytest plugin that collects suites, by the name of the module that they shall seem to be in."""

    def __init__(self, found: dict[str, tuple[type[Suite], ...]]) -> None:
        self._found = found

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Add them behind the tests of files, before -k and the like make their choice."""
        for name, found in self._found.items():
            module: Any = Module.from_parent(session, path=session.path / name, nodeid=name, name=name)
            module.suites = found
            items.extend(session.genitems(module))


def look(word: str) -> tuple[type[Suite], ...]:
    """The suites of "SEAM:NAME": the seam's, and those of the abilities that the provider has. Raises UsageError."""
    seam, colon, name = word.partition(":")
    if not (seam and colon and name):
        raise pytest.UsageError(f"--cmanager-provider {word}: write SEAM:NAME, such as runtime:mine")
    if seam not in SEAMS:
        raise pytest.UsageError(f"--cmanager-provider {word}: no seam {seam!r}, known are {', '.join(sorted(SEAMS))}")
    mine: list[type[Suite]] = [named(suite, name) for suite in suites(seam)]
    with tempfile.TemporaryDirectory() as place:
        instance = _instance(mine[0], Path(place))
        able = tuple(suite for suite in mine if isinstance(instance, suite.ability))
        return able or tuple(mine[:1])


def named(suite: type[Suite], name: str, **more: Any) -> type[Suite]:
    """A subclass of a suite, as an author writes it; `more` are further members."""
    return type(suite.__name__, (suite,), {"provider": name, "__test__": True, **more})


def _instance(suite: type[Suite], place: Path) -> Any:
    """One to look at; None where the host is not made for it, which the seam's own suite then says."""
    try:
        return find(suite.seam, suite.provider, suite().configure(place), place)
    except UnsupportedError:
        return None
    except CmanagerError as error:
        raise pytest.UsageError(f"--cmanager-provider {suite.seam}:{suite.provider}: {error}") from None
