"""What pytest loads: the option `--cmanager-provider`, failures with the contract beside them, and who was tried.

Found through the entry-point group `pytest11` in every project that has cmanager installed, so it imports nothing else
until a suite is used. Its entry point is called as the module is: naming it in `pytest_plugins` or with -p as well does
not load it twice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

from . import WHERE

# The suites are no test modules by name, and their failures should show values all the same.
pytest.register_assert_rewrite(*(f"cmanager.testing.{name}" for name in sorted(set(WHERE.values()))))

_OPTION = "--cmanager-provider"


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option, repeatable."""
    parser.getgroup("cmanager", "conformance of cmanager's plugins").addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="SEAM:NAME",
        help="run the suites of this seam and of the provider's optional abilities over it, such as runtime:mine;"
        " repeatable; without paths nothing else is collected",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Look for the providers that were named."""
    config.addinivalue_line("markers", "root: needs root (namespaces, mounts, cgroups, network)")
    words = config.getoption(_OPTION)
    if words:
        from .named import Named, look

        config.pluginmanager.register(Named({word: look(word) for word in words}), "cmanager-named")
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args[:] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The suites need root to say anything."""
    if os.geteuid() != 0:
        for item in items:
            if suite_of(item) and item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root: run it with sudo"))


def pytest_report_collectionfinish(items: list[pytest.Item]) -> list[str]:
    """Who is tried: seam, name and version."""
    found = [suite for suite in map(suite_of, items) if suite]
    if not found:
        return []
    from .report import title

    return list(dict.fromkeys(f"cmanager: {title(suite)}" for suite in found))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with what the contract says, and every result with whom it is about."""
    report = yield
    suite = suite_of(item)
    if suite:
        from .report import contract, title

        report.user_properties.append(("cmanager", title(suite)))
        if report.failed:
            report.sections.append(("the contract", contract(item, suite)))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """For each provider how many promises it kept, and why some were not asked for."""
    # By the reports: under pytest-xdist the suites are in other processes.
    every = [report for reports in terminalreporter.stats.values() for report in reports]
    if any(about == "cmanager" for report in every for about, _ in getattr(report, "user_properties", ())):
        from .report import summary

        summary(terminalreporter, reasons=not set("sSaA") & set(config.getoption("reportchars") or ""))


def suite_of(item: pytest.Item) -> Any:
    """The suite's subclass that a test belongs to, or None; imports nothing."""
    module, kind = sys.modules.get("cmanager.testing.suite"), getattr(item, "cls", None)
    return kind if module and kind and issubclass(kind, module.Suite) else None
