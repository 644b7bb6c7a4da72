"""What a pod was asked to be, and what its containers share."""

from __future__ import annotations

from attrs import field

from ..linux.process import Process, boot_id
from ..linux.values import frozen
from .network import Attachment, PortMapping

#: The namespaces that a pod can share, as the OCI runtime specification calls them.
SHARED = ("network", "ipc", "uts")
SHM_SIZE = 64 << 20


@frozen
class PodRequest:
    """Everything `pod create` can ask.

    name: "" for one made up; hostname: "" for the pod's name; network: a provider's name, "" for the default one;
    publish: ports the host answers for; dns: name servers; add_hosts: "NAME:IP" strings; shm_size: bytes of the shared
    /dev/shm; share: of `SHARED`. What is about a namespace that is not shared must be left at its default.
    """

    name: str = ""
    hostname: str = ""
    labels: dict[str, str] = field(factory=dict)
    network: str = ""
    publish: tuple[PortMapping, ...] = ()
    dns: tuple[str, ...] = ()
    add_hosts: tuple[str, ...] = ()
    shm_size: int = SHM_SIZE
    share: tuple[str, ...] = SHARED


@frozen
class PodStatus:
    """What of a pod ends with the boot.

    boot: boot id in which its namespaces were made, "" while they are not; attachment: its place on the network; maker:
    the command that is making the pod, None when it is made.
    """

    boot: str = ""
    attachment: Attachment | None = None
    maker: Process | None = None


@frozen
class Pod:
    """The record of one pod. id: 64 hex digits; request: with everything filled in that was left to a default."""

    id: str
    name: str
    created_at: float
    request: PodRequest
    status: PodStatus = field(factory=PodStatus)

    @property
    def up(self) -> bool:
        """Whether its namespaces were made in this boot."""
        return self.status.boot == boot_id()


@frozen
class Membership:
    """A container's place in a pod: the pod's id and name, and which of `SHARED` its containers share."""

    id: str
    name: str
    share: tuple[str, ...]
