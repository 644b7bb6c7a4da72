"""The network seam: connect a network namespace."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..model.network import Attachment, Endpoint


@runtime_checkable
class Network(Protocol):
    """Connects network namespaces, each given as a path.

    isolated: False when containers of this network live in the host's own namespace; then the core makes none and
    `attach` and `detach` receive the path "".
    """

    @property
    def isolated(self) -> bool: ...

    def attach(self, id: str, netns: str, endpoint: Endpoint) -> Attachment:
        """Connect the namespace at path `netns` for container `id`; loopback is brought up too.

        Names of links and leases derive from `id`. Raises ExhaustedError (no free address or port on the bridge),
        ConflictError (the fixed address is taken), UnsupportedError, HostError; after a failure nothing is left.
        """
        ...

    def detach(self, id: str, netns: str) -> None:
        """Undo `attach`: link, lease and rules. Idempotent; the namespace may be gone already."""
        ...

    def owned(self) -> frozenset[str]:
        """Ids that hold a lease or a link."""
        ...
