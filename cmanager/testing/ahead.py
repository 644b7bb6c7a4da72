"""The conformance suite of networks that connect namespaces before anything is known of their containers
(`cmanager.seams.Ahead`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..model import Endpoint
from ..seams import Ahead, Network
from .network import ENDPOINT, Box, OnHost, links, reach, traces


class AheadSuite(OnHost):
    """Every promise of `cmanager.seams.Ahead`, checked beside links that are made when their container starts."""

    ability = Ahead

    @pytest.fixture(name="ahead", autouse=True)
    def _ahead(self, provider: Network) -> None:
        assert isinstance(provider, Ahead), "cmanager.seams.Ahead.ahead is missing"
        assert provider.ahead in (True, False)
        if not provider.ahead:
            pytest.skip("this network makes each link when its container starts")

    def test_one_made_ahead_is_like_any_other(self, provider: Network, box: Callable[[int], Box]) -> None:
        """The same interface with as many addresses, and the same ways out."""
        first, second = box(1), box(2)
        early = provider.attach(first.id, first.path, Endpoint(first.id[:12]))
        late = provider.attach(second.id, second.path, ENDPOINT)
        assert (early.interface, early.routes, early.gateway, early.dns, early.ports) == (
            late.interface,
            late.routes,
            late.gateway,
            late.dns,
            late.ports,
        )
        assert len(early.addresses) == len(late.addresses)
        assert set(links(first.path)) == set(links(second.path))
        for one, said in ((first, early), (second, late)):
            for address in said.addresses:
                assert reach(one.path, one.path, address.partition("/")[0])
            provider.detach(one.id, one.path)

    def test_one_that_nobody_comes_for_leaves_nothing(self, provider: Network, box: Callable[[int], Box]) -> None:
        first = box(1)
        before = traces()
        provider.attach(first.id, first.path, Endpoint(first.id[:12]))
        provider.detach(first.id, first.path)
        assert traces() == before, "detach must undo all that attach did"
        assert provider.owned() == frozenset(), "what is detached must not be owned"
