"""The command line with each runtime in turn as its default, so that what a test types is what any user types."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ...support import Cli
from . import matrix


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not about a runtime. Of one that is not there a single test remains, which says so.

    Marks: `needs` and `lacks` name abilities that it must or must not have announced, `everyday` the runtimes with
    which a test is not slow.
    """
    if os.geteuid() != 0:
        return
    functions = [item for item in items if isinstance(item, pytest.Function) and "runtime" in item.fixturenames]
    names = {item: str(item.callspec.params["runtime"]) for item in functions}
    left_out: set[pytest.Item] = {item for item, name in names.items() if not _concerns(item, name)}
    for item, name in names.items():
        if any(name not in mark.args for mark in item.iter_markers("everyday")):
            item.add_marker(pytest.mark.slow)
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _concerns(item: pytest.Function, name: str) -> bool:
    if matrix.absent(name):
        return item.get_closest_marker("presence") is not None
    has = matrix.abilities(name)
    needs = {ability for mark in item.iter_markers("needs") for ability in mark.args}
    lacks = {ability for mark in item.iter_markers("lacks") for ability in mark.args}
    return needs <= has and not lacks & has


@pytest.fixture(scope="session", params=matrix.NAMES)
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> matrix.Runtime:
    """A runtime that is there."""
    if reason := matrix.absent(request.param):
        pytest.skip(reason)
    return matrix.Runtime.of(request.param, tmp_path_factory.mktemp(request.param) / "plugins.toml")


@pytest.fixture
def cli(machine: Cli, runtime: matrix.Runtime) -> Iterator[Cli]:
    """The command line; every container of the test is gone afterwards, and a test that leaves more than that fails."""
    under = Cli(machine.root, machine.run_root, runtime.config)
    yield under
    assert under.clear() == []
