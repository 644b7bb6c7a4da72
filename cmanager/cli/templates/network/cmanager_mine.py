"""Network mine: each container has a link that leads nowhere, for programs that want one besides the loopback."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Interface

from attrs import field, frozen

from cmanager import hookimpl
from cmanager.errors import HostError
from cmanager.linux.netns import entered
from cmanager.linux.rtnetlink import LOOPBACK, Rtnetlink
from cmanager.model import Attachment, Endpoint, Provider

_LINK = "lan0"


def _checked(text: str) -> str:
    return str(IPv4Interface(text))


@frozen
class Options:
    """address: str, of the link, with the length of its prefix; mtu: int, bytes."""

    address: str = field(default="192.0.2.1/24", converter=_checked)
    mtu: int = 1500


class MineNetwork:
    """See `cmanager.seams.Network`."""

    isolated = True

    def __init__(self, options: Options) -> None:
        self._options = options

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        address = IPv4Interface(self._options.address)
        try:
            with entered(netns), Rtnetlink() as kernel:
                kernel.up(LOOPBACK)
                kernel.add_bridge(_LINK, self._options.mtu)  # without ports it is what others call a dummy
                broadcast = str(address.network.broadcast_address)
                kernel.add_address(kernel.index(_LINK), str(address.ip), address.network.prefixlen, broadcast)
        except OSError as error:
            self.detach(id, netns)
            raise HostError.of(f"make link {_LINK} in", netns, error) from None
        return Attachment(interface=_LINK, addresses=(str(address),))

    def detach(self, id: str, netns: str) -> None:
        with suppress(OSError), entered(netns), Rtnetlink() as kernel:  # what is gone is gone
            kernel.delete(_LINK)

    def owned(self) -> frozenset[str]:
        return frozenset()  # all there is goes with the namespace, which is the core's


@hookimpl
def cmanager_networks() -> list[Provider]:
    """One provider, `mine`."""
    return [Provider("mine", lambda context, options: MineNetwork(options), options=Options)]
