"""What lists show of a container: fields of its record, without the rest, which takes half of the time to read.

Each has the name, the type and the default that it has in `Container`, `RunRequest` or `Status`.
"""

from __future__ import annotations

from typing import Literal

from attrs import field

from ..linux.mounts import Mount
from ..linux.process import Process
from ..linux.values import frozen
from .container import Container, Providers, State
from .network import PortMapping
from .pod import Membership
from .volume import VolumeMount


@frozen
class ShownRequest:
    """Of a `RunRequest`."""

    image: str
    labels: dict[str, str] = field(factory=dict)
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    network: str = ""
    expose: tuple[str, ...] = ()
    member: Membership | None = None


@frozen
class ShownHealth:
    """Of a `Health`."""

    status: Literal["starting", "healthy", "unhealthy"] = "starting"


@frozen
class ShownAttachment:
    """Of an `Attachment`."""

    ports: tuple[PortMapping, ...] = ()


@frozen
class ShownStatus:
    """Of a `Status`."""

    state: State = "created"
    init: Process | None = None
    supervisor: Process | None = None
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int | None = None
    attachment: ShownAttachment | None = None
    boot: str = ""
    restart_at: float = 0.0
    health: ShownHealth | None = None

    @property
    def runs(self) -> bool:
        """As that of a `Status`."""
        return self.state in ("running", "paused")

    @property
    def active(self) -> bool:
        """As that of a `Status`."""
        return self.runs or self.restart_at > 0


@frozen
class Glimpse:
    """Of a `Container`."""

    id: str
    name: str
    created_at: float
    request: ShownRequest
    argv: tuple[str, ...]
    providers: Providers
    status: ShownStatus = field(factory=ShownStatus)


Shown = Container | Glimpse
