"""What all suites share: how one finds the provider that it tries.

    class TestMine(NetworkSuite):
        provider = "mine"
        options = {"mtu": 1400}

The provider is found as cmanager finds it: by plugins.toml (the shipped one and $CMANAGER_CONFIG or /etc/cmanager's) or
an entry point, checked and made by the loader, with fresh roots for each test. A suite calls nothing but the methods
of the seam, so a provider may live in a process of its own.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve

from ..errors import CmanagerError, UnsupportedError
from ..linux.process import children
from ..plugins import Plugins, load_config
from ..seams import SEAMS


class Suite:
    """Base of every suite.

    seam: the seam's word in plugins.toml; ability: the Protocol that the suite is about; provider: the name of the one
    under test; options: laid over those that plugins.toml has for it.
    """

    seam: ClassVar[str]
    ability: ClassVar[type]
    provider: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def is_optional(cls) -> bool:
        """Whether the suite is about an optional ability rather than the seam itself."""
        return cls.ability is not SEAMS[cls.seam][1][0]

    def configure(self, place: Path) -> dict[str, Any]:
        """The options for a provider made in `place`. Override it where one is known only then, such as a path."""
        return dict(self.options)

    def make(self, place: Path) -> Any:
        """A new instance that keeps what it keeps below `place`, which nobody else uses.

        Override it to make the provider in another way than cmanager does.
        """
        if not self.provider:
            pytest.fail(f'{type(self).__name__} names no provider: write provider = "NAME" in it', pytrace=False)
        try:
            return find(self.seam, self.provider, self.configure(place), place)
        except UnsupportedError as error:
            pytest.skip(f"not on this host: {error}")
        except CmanagerError as error:
            pytest.fail(f"there is no such provider to try: {error}", pytrace=False)

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Where the provider keeps everything: `root` and `run` of the manager."""
        place = tmp_path / "provider"
        place.mkdir()
        return place

    @pytest.fixture(name="provider")
    def _provider(self, place: Path) -> Any:
        """The instance under test."""
        return self.make(place)


def find(seam: str, name: str, options: Mapping[str, Any], place: Path) -> Any:
    """The provider as cmanager itself would get it, with `options` over its own and its directories in `place`."""
    config = load_config(os.environ.get("CMANAGER_CONFIG"))
    key = f"{seam}.{name}"
    merged = {**config.options, key: {**config.options.get(key, {}), **options}}
    return Plugins(evolve(config, options=merged), f"{place}/root", f"{place}/run").get(seam, name)


def held() -> dict[str, int]:
    """What this process holds for its provider: how many descriptors, threads and children, zombies too."""
    gc.collect()  # of instances of earlier tests
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "children": len(children(os.getpid())),
    }


def steady(action: Callable[[int], object], times: int = 5) -> None:
    """Do it once, for what a provider makes on first use and keeps, then `times` more: then nothing may have grown."""
    action(0)
    before = held()
    for number in range(1, times + 1):
        action(number)
    assert held() == before, f"after {times} more times this process holds more than before"
