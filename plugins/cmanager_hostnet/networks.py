"""Null objects of the network seam, so that nobody asks whether there is a network."""

from __future__ import annotations

from cmanager.errors import HostError
from cmanager.linux.netns import entered
from cmanager.linux.rtnetlink import LOOPBACK, Rtnetlink
from cmanager.model import Attachment, Endpoint


class HostNetwork:
    """Containers live in the host's network namespace; there is nothing to make."""

    isolated = False

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        """See `cmanager.seams.Network.attach`."""
        return Attachment()

    def detach(self, id: str, netns: str) -> None:
        """See `cmanager.seams.Network.detach`."""

    def owned(self) -> frozenset[str]:
        """Nothing ever."""
        return frozenset()


class NoNetwork:
    """Containers have a network namespace with a loopback that works."""

    isolated = True
    ahead = True

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        """See `cmanager.seams.Network.attach`."""
        try:
            with entered(netns), Rtnetlink() as kernel:
                kernel.up(LOOPBACK)
        except OSError as error:
            raise HostError.of("bring up the loopback of", netns, error) from None
        return Attachment()

    def detach(self, id: str, netns: str) -> None:
        """See `cmanager.seams.Network.detach`."""

    def owned(self) -> frozenset[str]:
        """Nothing ever: the namespace is the core's."""
        return frozenset()
