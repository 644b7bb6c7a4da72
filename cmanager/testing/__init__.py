"""The conformance kit: for each seam the contract as tests, which every provider passes, built in or not.

    from cmanager.testing import RuntimeSuite

    class TestMine(RuntimeSuite):
        provider = "mine"

`suite.py` says how a suite finds its provider, `plugin.py` is what pytest loads, with `--cmanager-provider SEAM:NAME`.
Part of the author API. Names load when used: pytest imports this package in every project it is installed beside.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ahead import AheadSuite
    from .attach import AttachVolumesSuite, DriveVolumesSuite
    from .clock import ClockSuite
    from .commit import CommitSuite
    from .extend import ImportSuite, PushSuite, RegistrySuite
    from .images import ImagesSuite
    from .limiter import LimiterSuite
    from .limits import CoverSuite
    from .network import AssignSuite, NetworkSuite
    from .ports import PublishSuite
    from .runtime import RuntimeSuite
    from .shape import ShapeSuite
    from .storage import StorageSuite
    from .suite import Suite
    from .volumes import VolumesSuite
    from .watch import WatchSuite

#: The suites, and the modules that they are in.
WHERE = {
    "AheadSuite": "ahead",
    "AssignSuite": "network",
    "AttachVolumesSuite": "attach",
    "ClockSuite": "clock",
    "CommitSuite": "commit",
    "CoverSuite": "limits",
    "DriveVolumesSuite": "attach",
    "ImagesSuite": "images",
    "ImportSuite": "extend",
    "LimiterSuite": "limiter",
    "NetworkSuite": "network",
    "PublishSuite": "ports",
    "PushSuite": "extend",
    "RegistrySuite": "extend",
    "RuntimeSuite": "runtime",
    "ShapeSuite": "shape",
    "StorageSuite": "storage",
    "Suite": "suite",
    "VolumesSuite": "volumes",
    "WatchSuite": "watch",
}

__all__ = [
    "AheadSuite",
    "AssignSuite",
    "AttachVolumesSuite",
    "ClockSuite",
    "CommitSuite",
    "CoverSuite",
    "DriveVolumesSuite",
    "ImagesSuite",
    "ImportSuite",
    "LimiterSuite",
    "NetworkSuite",
    "PublishSuite",
    "PushSuite",
    "RegistrySuite",
    "RuntimeSuite",
    "ShapeSuite",
    "StorageSuite",
    "Suite",
    "VolumesSuite",
    "WatchSuite",
]


def __getattr__(name: str) -> Any:
    if name in WHERE:
        return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def suites(seam: str) -> tuple[type[Suite], ...]:
    """The suites of a seam: the one that every provider of it passes, then one for each optional ability."""
    found = [__getattr__(name) for name in __all__ if name != "Suite"]
    of_seam = [suite for suite in found if suite.seam == seam]
    return tuple(sorted(of_seam, key=lambda suite: suite.is_optional()))
