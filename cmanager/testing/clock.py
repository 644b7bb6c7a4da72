"""The conformance suite of limiters that tell processor time alone (`cmanager.seams.Clock`)."""

from __future__ import annotations

import pytest

from ..model import Limits
from ..seams import Clock, Limiter
from .cgroups import OnCgroups, burn, end, spawn


class ClockSuite(OnCgroups):
    """Every promise of `cmanager.seams.Clock`, checked beside `usage`."""

    ability = Clock

    def test_of_what_is_gone_it_tells_nothing(self, provider: Clock, id: str) -> None:
        assert isinstance(provider, Limiter)
        assert provider.cpu_seconds(id) is None
        provider.create(id, Limits())
        provider.remove(id)
        assert provider.cpu_seconds(id) is None

    def test_it_tells_what_usage_tells(self, provider: Clock, id: str) -> None:
        assert isinstance(provider, Limiter)
        pid = spawn(provider.create(id, Limits()).path, burn)
        try:
            for _ in range(20):
                before, alone, after = provider.usage(id), provider.cpu_seconds(id), provider.usage(id)
                if before.cpu_seconds is None or after.cpu_seconds is None:
                    assert alone is None, "usage knows nothing of it"
                    pytest.skip("this limiter counts no processor time")
                assert alone is not None
                assert before.cpu_seconds <= alone <= after.cpu_seconds
        finally:
            end(pid)
