"""Network mine: containers that see each other and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from attrs import frozen

from cmanager import hookimpl
from cmanager.errors import HostError
from cmanager.linux.files import locked
from cmanager.linux.netns import entered
from cmanager.linux.rtnetlink import LOOPBACK, Rtnetlink
from cmanager.model import Attachment, Endpoint, Provider


@frozen
class Options:
    """bridge: str, name of the bridge that connects them; mtu: int, bytes, 0 for the kernel's choice."""

    bridge: str = "mine"
    mtu: int = 0


class MineNetwork:
    """See `cmanager.seams.Network`. An address is made of an id, and each link tells whose it is: nothing is stored."""

    isolated = True

    def __init__(self, run_dir: str, options: Options) -> None:
        self._run_dir, self._bridge, self._mtu = run_dir, options.bridge, options.mtu

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        number = bytes.fromhex(id[:6])
        address, mac = "10." + ".".join(map(str, number)), "02:00:10:" + number.hex(":")
        try:
            with self._kernel() as kernel, open(netns, "rb") as there:
                if not kernel.index(self._bridge):
                    kernel.add_bridge(self._bridge, self._mtu)
                kernel.add_veth(_link(id), kernel.index(self._bridge), "eth0", 0, mac, there.fileno(), self._mtu)
                kernel.set_alias(_link(id), id)
            with entered(netns), Rtnetlink() as kernel:
                kernel.up(LOOPBACK)
                kernel.up(eth0 := kernel.index("eth0"))
                kernel.add_address(eth0, address, 8, "10.255.255.255")
        except OSError as error:
            self.detach(id, netns)
            raise HostError.of(f"connect container {id[:12]} to bridge", self._bridge, error) from None
        return Attachment("eth0", (f"{address}/8",), mac=mac)

    def detach(self, id: str, netns: str) -> None:
        with suppress(OSError), self._kernel() as kernel:
            with suppress(OSError):  # what is gone is gone
                kernel.delete(_link(id))
            if not kernel.slaves(kernel.index(self._bridge)):
                kernel.delete(self._bridge)

    def owned(self) -> frozenset[str]:
        with Rtnetlink() as kernel:
            return frozenset(kernel.slaves(kernel.index(self._bridge)))

    @contextmanager
    def _kernel(self) -> Iterator[Rtnetlink]:
        """The kernel, alone with it: the bridge comes with the first container and goes with the last."""
        os.makedirs(self._run_dir, mode=0o700, exist_ok=True)
        with locked(f"{self._run_dir}/lock"), Rtnetlink() as kernel:
            yield kernel


def _link(id: str) -> str:
    return f"mine{id[:8]}"[-15:]


@hookimpl
def cmanager_networks() -> list[Provider]:
    """One provider, `mine`."""
    return [Provider("mine", lambda context, options: MineNetwork(context.run_dir, options), options=Options)]
