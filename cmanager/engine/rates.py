"""What `--network-rate` asks of a network, refused where it cannot be."""

from __future__ import annotations

from ..errors import UnsupportedError
from ..model.network import Rate
from ..plugins import Plugins
from ..seams import Shape


def check(plugins: Plugins, network: str, rate: Rate, *, shared: bool) -> None:
    """Refuse a rate that a network cannot hold; before anything is made.

    network: with its default filled in; shared: whether the network is a pod's. Raises as `Shape.check_rate`, and
    UnsupportedError for a network that bounds none.
    """
    if rate != Rate():
        if shared or network.startswith(("container:", "ns:")):
            where = "its pod's" if shared else network
            raise UnsupportedError(f"network {where} is shared, give --network-rate to a container with one of its own")
        shaper(plugins, network).check_rate(rate)


def shaper(plugins: Plugins, network: str) -> Shape:
    """A network that bounds rates. Raises UnsupportedError for one that does not."""
    provider = plugins.get("network", network)
    if not isinstance(provider, Shape):
        raise UnsupportedError(f"network {network} bounds no rates, leave out --network-rate or choose another network")
    return provider
