"""What crosses the storage seam for a volume."""

from __future__ import annotations

from attrs import field

from ..values import frozen


@frozen
class Volume:
    """A directory that outlives the containers that use it.

    name; mountpoint: str, absolute path of the directory that containers see, "" while it is nowhere; staging: str,
    absolute path of a directory on the same file system that no container sees, "" for none: the core prepares there
    what it moves into the volume; created_at: seconds since the epoch; labels; anonymous: whether it was made for
    somebody who named none; driver: name of its storage provider, filled in by the core; problem: "" or why its record
    cannot be read; options: what it was made with; scope: "local", or "global" where other hosts have it too.
    """

    name: str
    mountpoint: str
    staging: str
    created_at: float = 0.0
    labels: dict[str, str] = field(factory=dict)
    anonymous: bool = False
    driver: str = ""
    problem: str = ""
    options: dict[str, str] = field(factory=dict)
    scope: str = "local"
