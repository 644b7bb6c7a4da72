"""Faults of networks, put into `bridge` and `none`."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress
from typing import Any

from attrs import evolve

from cmanager.errors import CmanagerError, NotFoundError
from cmanager.linux.rtnetlink import Rtnetlink
from cmanager.model import Attachment, Endpoint, PortMapping, Rate
from cmanager.testing import AssignSuite, NetworkSuite, PublishSuite, ShapeSuite, Suite
from cmanager_bridge.bridge import delete
from cmanager_bridge.network import BridgeNetwork
from cmanager_hostnet.networks import NoNetwork

from .mutant import Mutant, becoming


class DetachesOnce(BridgeNetwork):
    def detach(self, id: str, netns: str) -> None:
        if id not in self.owned():
            raise NotFoundError(f"container {id[:12]} is not attached")
        super().detach(id, netns)


class ForgetsALease(BridgeNetwork):
    def owned(self) -> frozenset[str]:
        return frozenset(sorted(super().owned())[:1])


class KeepsTheLease(BridgeNetwork):
    def detach(self, id: str, netns: str) -> None:
        self._unplug(id)


class NeedsTheNamespace(BridgeNetwork):
    def detach(self, id: str, netns: str) -> None:
        if os.path.exists(netns):
            super().detach(id, netns)


class LeasesAfterAFailure(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        try:
            return super().attach(id, netns, endpoint)
        except CmanagerError:
            with self._pool.locked():
                self._pool.lease(id)
            raise


class SaysAnotherAddress(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        return evolve(super().attach(id, netns, endpoint), addresses=("10.88.255.254/16",))


class SaysNoAddress(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        return evolve(super().attach(id, netns, endpoint), addresses=())


class KeepsDescriptor(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        said = super().attach(id, netns, endpoint)
        os.open(netns, os.O_RDONLY)
        return said


class KeepsThread(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().attach(id, netns, endpoint)


class LeavesARule(BridgeNetwork):
    def detach(self, id: str, netns: str) -> None:
        super().detach(id, netns)
        subprocess.run(["nft", "add", "table", "ip", "left"], check=True)


class LetsErrorsEscape(NoNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        os.stat(netns)
        return super().attach(id, netns, endpoint)


class NoLoopback(NoNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        return Attachment()


class IgnoresTheAddress(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        return super().attach(id, netns, evolve(endpoint, address=""))


class IgnoresTheMac(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        return super().attach(id, netns, evolve(endpoint, mac=""))


class AddressesAreAlwaysFree(BridgeNetwork):
    def check_address(self, address: str, mac: str, *, now: bool) -> None:
        super().check_address(address, mac, now=False)


class IgnoresTheBindAddress(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        everywhere = tuple(evolve(port, host_ip="") for port in endpoint.ports)
        said = super().attach(id, netns, evolve(endpoint, ports=everywhere))
        asked = zip(said.ports, endpoint.ports, strict=True)
        return evolve(said, ports=tuple(evolve(port, host_ip=ask.host_ip or port.host_ip) for port, ask in asked))


class PublishesNothing(BridgeNetwork):
    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        said = super().attach(id, netns, evolve(endpoint, ports=()))
        return evolve(said, ports=tuple(evolve(port, host_ip=port.host_ip or "0.0.0.0") for port in endpoint.ports))


class PortsAreAlwaysFree(BridgeNetwork):
    def check_ports(self, ports: tuple[PortMapping, ...], *, now: bool) -> None:
        with suppress(CmanagerError):
            super().check_ports(ports, now=now)


class BoundsOneWay(BridgeNetwork):
    def shape(self, id: str, rate: Rate) -> None:
        super().shape(id, evolve(rate, send=0))


class BoundsTheOtherWay(BridgeNetwork):
    def shape(self, id: str, rate: Rate) -> None:
        super().shape(id, Rate(rate.send, rate.receive))


class BoundsOnce(BridgeNetwork):
    bounded = False

    def shape(self, id: str, rate: Rate) -> None:
        if not self.bounded:
            super().shape(id, rate)
        self.bounded = True


class LiftsNothing(BridgeNetwork):
    def shape(self, id: str, rate: Rate) -> None:
        if rate != Rate():
            super().shape(id, rate)


class TakesBitsForBytes(BridgeNetwork):
    def shape(self, id: str, rate: Rate) -> None:
        super().shape(id, Rate(rate.receive // 8, rate.send // 8))


class BoundsEveryone(BridgeNetwork):
    def shape(self, id: str, rate: Rate) -> None:
        for each in self.owned() | {id}:
            super().shape(each, rate)


class LeavesTheHelper(BridgeNetwork):
    def _unplug(self, id: str) -> None:
        with Rtnetlink() as here:
            delete(here, f"cm{id[:13]}")


class BoundsWhatIsNotThere(BridgeNetwork):
    def shape(self, id: str, rate: Rate) -> None:
        with suppress(NotFoundError):
            super().shape(id, rate)


class TakesAnyRate(BridgeNetwork):
    def check_rate(self, rate: Rate) -> None:
        super().check_rate(Rate())


def _mutant(does: str, kind: type, suite: type[Suite] = NetworkSuite, *, everyday: bool = False) -> Mutant:
    of = "cmanager_hostnet:none" if issubclass(kind, NoNetwork) else "cmanager_bridge:bridge"
    return Mutant(does, suite, of, becoming(kind), everyday=everyday)


MUTANTS: list[Any] = [
    _mutant("raises when it detaches twice", DetachesOnce, everyday=True),
    _mutant("forgets a lease in owned()", ForgetsALease),
    _mutant("keeps the lease at detach", KeepsTheLease),
    _mutant("detaches nothing when the namespace is gone", NeedsTheNamespace),
    _mutant("keeps a lease after a failure", LeasesAfterAFailure),
    _mutant("tells another address than it gave", SaysAnotherAddress),
    _mutant("tells of no address", SaysNoAddress),
    _mutant("keeps a descriptor of each container", KeepsDescriptor),
    _mutant("keeps a thread for each container", KeepsThread),
    _mutant("leaves a rule in the firewall", LeavesARule),
    _mutant("lets an OSError escape from attach", LetsErrorsEscape),
    _mutant("leaves the loopback down", NoLoopback),
    _mutant("ignores the address that is asked for", IgnoresTheAddress, AssignSuite),
    _mutant("ignores the MAC that is asked for", IgnoresTheMac, AssignSuite),
    _mutant("says of each address that it is free", AddressesAreAlwaysFree, AssignSuite),
    _mutant("publishes on every address", IgnoresTheBindAddress, PublishSuite),
    _mutant("publishes nothing", PublishesNothing, PublishSuite),
    _mutant("says of each port that it is free", PortsAreAlwaysFree, PublishSuite),
    _mutant("bounds what is received alone", BoundsOneWay, ShapeSuite),
    _mutant("takes one way for the other", BoundsTheOtherWay, ShapeSuite),
    _mutant("bounds the first time alone", BoundsOnce, ShapeSuite),
    _mutant("lifts no bound", LiftsNothing, ShapeSuite),
    _mutant("takes bits for bytes", TakesBitsForBytes, ShapeSuite),
    _mutant("bounds every container", BoundsEveryone, ShapeSuite),
    _mutant("forgets at detach what bounds", LeavesTheHelper, ShapeSuite),
    _mutant("bounds what is not attached", BoundsWhatIsNotThere, ShapeSuite),
    _mutant("takes any rate", TakesAnyRate, ShapeSuite),
]
