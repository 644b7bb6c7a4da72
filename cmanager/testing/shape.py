"""The conformance suite of networks that bound how fast a container is (`cmanager.seams.Shape`).

class TestMine(ShapeSuite):
    provider = "mine"
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

import pytest

from ..errors import InvalidError, NotFoundError, UnsupportedError
from ..linux import netns
from ..model import Rate
from ..seams import Network, Shape
from .network import ENDPOINT, Box, OnHost, address_of, container_id, links

_HERE = "/proc/thread-self/ns/net"
_SPEED = 1 << 21
_SIZE = 3 << 20


def speed(source: str, target: str, address: str) -> float:
    """Bytes a second over TCP from namespace `source` to `address` in namespace `target`, "" for this one."""
    with netns.entered(target or _HERE):
        listener = socket.create_server((address, 0))
    pid = os.fork()
    if pid == 0:
        try:
            with netns.entered(source or _HERE), socket.create_connection(listener.getsockname(), timeout=20) as peer:
                peer.sendall(bytes(_SIZE))
        finally:
            os._exit(0)
    listener.settimeout(20)
    with listener, listener.accept()[0] as peer:
        began, size = time.monotonic(), 0
        while more := peer.recv(1 << 16):
            size += len(more)
        seconds = time.monotonic() - began
    os.waitpid(pid, 0)
    assert size == _SIZE, f"{size} bytes of {_SIZE} arrived"
    return size / seconds


class ShapeSuite(OnHost):
    """Every promise of `cmanager.seams.Shape`, checked."""

    ability = Shape

    def test_each_way_is_as_fast_as_asked_for(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Bounded one way the other is not; another rate replaces the first, and 0 lifts it."""
        assert isinstance(provider, Shape), "a method of cmanager.seams.Shape is missing"
        one, other = box(1), box(2)
        said = provider.attach(one.id, one.path, ENDPOINT)
        neighbour = address_of(provider.attach(other.id, other.path, ENDPOINT))
        _shaped(provider, one.id, Rate(receive=_SPEED))
        assert 0.85 <= speed("", one.path, address_of(said)) / _SPEED <= 1.1, "what it receives must be bounded"
        assert speed(one.path, "", said.gateway) > 3 * _SPEED, "what it sends must not"
        assert speed("", other.path, neighbour) > 3 * _SPEED, "nor what another container receives"
        _shaped(provider, one.id, Rate(send=_SPEED))
        assert 0.85 <= speed(one.path, "", said.gateway) / _SPEED <= 1.1, "what it sends must be bounded"
        assert speed("", one.path, address_of(said)) > 3 * _SPEED, "what it receives must not any more"
        _shaped(provider, one.id, Rate())
        assert speed(one.path, "", said.gateway) > 3 * _SPEED, "nothing is bounded any more"
        provider.detach(one.id, one.path)
        provider.detach(other.id, other.path)

    def test_detaching_undoes_it(self, provider: Network, box: Callable[[int], Box]) -> None:
        """Nothing is left of it, and the container's next life is not bounded."""
        assert isinstance(provider, Shape)
        one = box(1)
        provider.attach(one.id, one.path, ENDPOINT)
        before = set(links())
        _shaped(provider, one.id, Rate(_SPEED, _SPEED))
        made = set(links()) - before
        provider.detach(one.id, one.path)
        assert not made & set(links()), "detach must remove every link that shape made"
        assert one.id not in provider.owned()

    def test_what_is_not_attached_cannot_be_bounded(self, provider: Network) -> None:
        """NotFoundError, and a rate that cannot be is refused by `check_rate`, which changes nothing."""
        assert isinstance(provider, Shape)
        _checked(provider, Rate(_SPEED, _SPEED))
        with pytest.raises(NotFoundError):
            provider.shape(container_id(7), Rate(_SPEED))
        with pytest.raises(InvalidError):
            provider.check_rate(Rate(send=1))


def _checked(provider: Shape, rate: Rate) -> None:
    try:
        provider.check_rate(rate)
    except UnsupportedError as error:
        pytest.skip(str(error))


def _shaped(provider: Shape, id: str, rate: Rate) -> None:
    _checked(provider, rate)
    provider.shape(id, rate)
