"""The network seam: connect a network namespace."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..model.network import Attachment, Endpoint, PortMapping, Rate


@runtime_checkable
class Network(Protocol):
    """Connects network namespaces, each given as a path.

    isolated: False when containers of this network live in the host's own namespace; then the core makes none and
    `attach` and `detach` receive the path "".
    """

    @property
    def isolated(self) -> bool: ...

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        """Connect the namespace at path `netns` for container or pod `id`; loopback is brought up too.

        `endpoint.ports` is empty unless this network is a `Publish`. Names of links and leases derive from `id`. Raises
        ExhaustedError (no free address or port on the bridge), ConflictError (the fixed address is taken),
        UnsupportedError, HostError; after a failure nothing is left.
        """
        ...

    def detach(self, id: str, netns: str) -> None:
        """Undo `attach`: link, lease and rules. Idempotent; the namespace may be gone already."""
        ...

    def owned(self) -> frozenset[str]:
        """Ids that hold a lease, a link or a published port."""
        ...


@runtime_checkable
class Ahead(Protocol):
    """A network that can connect a namespace before anything is known of its container but the id. Optional: of another
    every link is made when its container starts.

    ahead: whether it does here; then of an `Endpoint` without address, MAC, ports and aliases it heeds nothing, so that
    `attach` may be called long before there is such a container, or for one that never comes.
    """

    @property
    def ahead(self) -> bool: ...


@runtime_checkable
class Assign(Protocol):
    """A network that gives its containers addresses, on request a certain one. Optional: others never see
    `Endpoint.address` or `Endpoint.mac`, nor aliases that a person asked for."""

    def check_address(self, address: str, mac: str, *, now: bool) -> None:
        """Raise what `attach` would raise for these, "" where none is asked for, and change nothing.

        now: also for what may be free at another time. Raises InvalidError (no address of this network, no MAC of a
        single device), ConflictError (taken: names the container that has it), HostError.
        """
        ...


@runtime_checkable
class Publish(Protocol):
    """A network whose containers' ports the host can answer for. Optional: others never see `Endpoint.ports`.

    `attach` publishes them all or fails, with what `check_ports` raises, and undoes itself; `Attachment.ports` is what
    they became. Then a connection to a published port reaches the container: from other hosts, from the host itself,
    over its loopback where the bind address covers that, and from containers, its own included. At an address that it
    is not bound to it does not, and at one of 127.0.0.0/8 only from the host. `detach` releases them.
    """

    def check_ports(self, ports: tuple[PortMapping, ...], *, now: bool) -> None:
        """Raise what `attach` would raise for these ports, and change nothing.

        now: also for what may be free at another time; False asks only whether they could ever be published. Raises
        InvalidError (the same port twice, an address that is none or not of this host), UnsupportedError (an address or
        a protocol that this network cannot publish), ConflictError (taken: names the port and its holder, a container
        or a process of the host), HostError.
        """
        ...


@runtime_checkable
class Shape(Protocol):
    """A network that can bound how fast a container receives and sends. Optional: others are never asked to.

    What a container that ignores the bound receives or sends too fast waits, and is lost where it does not; a container
    cannot lift its bound, whatever capabilities it has. `detach` undoes `shape`.
    """

    def check_rate(self, rate: Rate) -> None:
        """Raise what `shape` would raise for any container, and change nothing.

        Raises InvalidError (a rate that is too low or too high), UnsupportedError (names what the kernel lacks),
        HostError.
        """
        ...

    def shape(self, id: str, rate: Rate) -> None:
        """Bound the link of container `id`, which is attached, from now on, in place of an earlier bound; 0 lifts it.

        Raises NotFoundError (no link), UnsupportedError, HostError; the earlier bound may be gone then.
        """
        ...
