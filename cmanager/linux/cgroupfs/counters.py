"""What the kernel counts of a cgroup beside plain numbers."""

from __future__ import annotations

from ..values import frozen


@frozen
class BlockIO:
    """What went to and from one block device. device: "8:0", major and minor; name: "sda", "" for one that is gone;
    read_bytes, written_bytes: int; reads, writes: operations."""

    device: str
    name: str = ""
    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0


@frozen
class Pressure:
    """How much of the time there was waiting for a resource (Documentation/accounting/psi.rst).

    some_percent, full_percent: of the last ten seconds, in which at least one task waited, or all that had work to do;
    some_seconds, full_seconds: altogether.
    """

    some_percent: float = 0.0
    some_seconds: float = 0.0
    full_percent: float = 0.0
    full_seconds: float = 0.0


@frozen
class HugePages:
    """Huge pages of one size. size: as the kernel's files have it, "2MB"; bytes, peak_bytes: in use now, and at most;
    limit_bytes: -1 for none; limit_hits: how often more was refused; None for what the host does not offer."""

    size: str
    bytes: int | None = None
    peak_bytes: int | None = None
    limit_bytes: int | None = None
    limit_hits: int | None = None


@frozen
class Watched:
    """A file that tells when a limit was reached. path: str; control: cgroup.event_control of v1, where a descriptor is
    registered to hear of it; "" for a file that poll(2) tells of."""

    path: str
    control: str = ""
