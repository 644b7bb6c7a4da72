"""The storage seam: layers in, a root file system described as mounts out; and volumes, which outlive containers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from ..linux.changes import Change
from ..linux.mounts import Mount
from ..model.codec import Fd
from ..model.image import Layer
from ..model.volume import Volume


@runtime_checkable
class Storage(Protocol):
    """Unpacks layers once and gives each container a root file system on top of them.

    It never mounts on the host: it returns mounts as data, which the supervisor makes in a private mount namespace.
    Files keep the ids they have in the image (root is 0); where a container has a user namespace the mounts are made
    id-mapped, so a provider needs to know nothing about it. For that, all paths in one Mount lie under one directory,
    and that below its own (`Context.state_dir` or `run_dir`): a container is given nothing else of the host.
    """

    def prepare(self, id: str, layers: tuple[Layer, ...]) -> tuple[Mount, ...]:
        """A writable root file system for container `id`: its mounts, the first of them with target "/".

        Layers (base first) not seen before are unpacked into a staging place, verified against their diff id, synced
        and published by one rename; a layer is unpacked once however many containers share it and however many
        processes ask at once. Calling again with the same id returns the same mounts and touches no data. Raises
        CorruptError (a tarball that lies or reaches outside its layer), UnsupportedError (too many layers for the
        kernel), HostError (disk). After a failure nothing of `id` is left.
        """
        ...

    def remove(self, id: str) -> None:
        """Remove what `prepare` made for `id`, but no layers. Idempotent; nothing may be mounted from it any more."""
        ...

    def usage(self, id: str) -> int:
        """Bytes that container `id` holds beyond its layers; 0 when it is unknown."""
        ...

    def owned(self) -> frozenset[str]:
        """Ids that something is stored for."""
        ...

    def collect(self, diff_ids: frozenset[str]) -> int:
        """Remove unpacked layers that are not in `diff_ids` and belong to no prepared container; bytes freed.

        Also removes what interrupted calls of `prepare` left behind.
        """
        ...


@runtime_checkable
class Volumes(Protocol):
    """Optional: a storage provider that keeps volumes, directories that outlive containers; it may keep nothing else,
    and then be no `Storage`.

    Files in a volume have the ids that containers give them, whatever user namespace they are in: the core mounts a
    volume id-mapped, fills it from the image (in the directories that `Volume` names) and knows who uses it. Names
    follow `cmanager.model.names` and are unique within a provider; the core keeps them unique among providers, and
    calls `create_volume` and `remove_volume` for one name one at a time. Every method raises InvalidError for a name
    that is none, before a path is built from it, and HostError for what the file system refuses.
    """

    def create_volume(self, name: str, labels: dict[str, str], *, anonymous: bool = False) -> Volume:
        """Make an empty volume: its mountpoint is an empty directory, 0755 and root's, its staging an empty one.

        It is there after a power loss, and after a death there is a whole volume or none. Raises ConflictError when
        the name is taken.
        """
        ...

    def volumes(self) -> tuple[Volume, ...]:
        """All volumes, by name. One whose record cannot be read is among them, with its `problem`."""
        ...

    def volume(self, name: str) -> Volume:
        """One volume. Raises NotFoundError."""
        ...

    def remove_volume(self, name: str) -> None:
        """Remove a volume with all its files. Idempotent; nobody uses it any more."""
        ...

    def volume_usage(self, name: str) -> int:
        """Bytes that the volume's files take on disk; 0 when there is none of that name."""
        ...


@runtime_checkable
class AttachVolumes(Protocol):
    """Optional: a `Volumes` whose volumes are at no path of the host until they are attached for a container.

    `Volume.mountpoint` is "" until then. id: a container's. The core attaches each volume once in a start, before
    anything of the container runs, and detaches it when the container has ended or its start failed, or after a death.
    """

    def attach_volume(self, name: str, id: str) -> str:
        """The volume at a path of the caller's mount namespace: an absolute path of a directory, good until
        `detach_volume`.

        What an earlier call for `id` has attached is detached first. Any number of containers may have one volume
        attached. Raises NotFoundError for no such volume, PluginError, HostError; after a failure `detach_volume` is
        called all the same.
        """
        ...

    def detach_volume(self, name: str, id: str) -> None:
        """Undo `attach_volume`. Idempotent. What cannot be done now raises PluginError or HostError, stays among
        `attached` and is tried again by `gc`."""
        ...

    def attached(self) -> tuple[tuple[str, str], ...]:
        """Every volume's name and container id that may be attached, also by a call that never came back; asks nobody
        else."""
        ...


@runtime_checkable
class DriveVolumes(Protocol):
    """Optional: a `Volumes` whose volumes another program keeps, the driver, which may be slow or away.

    `volumes` and `volume` answer from the provider's own record and ask no driver. `create_volume` is `record_volume`
    without options and `ready_volume`; the core calls these two, so that nobody waits who only needs to know that a
    name is taken.
    """

    def check_driver(self) -> None:
        """Raise what `ready_volume` would raise without a driver: NotFoundError, UnsupportedError, PluginError."""
        ...

    def record_volume(
        self, name: str, labels: dict[str, str], options: dict[str, str], *, anonymous: bool = False
    ) -> Volume:
        """Write down that there is to be such a volume, made with the driver's `options`. Raises ConflictError."""
        ...

    def ready_volume(self, name: str) -> Volume:
        """Let the driver make a recorded volume, or take over what it has by that name. Idempotent.

        Raises PluginError with the driver's words; a volume that it never made is not recorded any more then.
        """
        ...

    def volume_status(self, name: str) -> dict[str, Any]:
        """What the driver says of a volume now, as it is shown to people. Raises PluginError, NotFoundError."""
        ...


@runtime_checkable
class Commit(Protocol):
    """Optional: a storage provider that can tell what a container changed, running or not.

    layers: those that the container was prepared with; user_map: (first host id, count) of its user namespace, by which
    owners of what it wrote may be shifted on disk, None without one; mountpoints: absolute paths inside where something
    is mounted on start: empty files and directories that exist only for that are no changes. Both methods only read,
    follow no link, and stay inside whatever the container does meanwhile; what changes while they read may be missing.
    Raise NotFoundError for an id that was not prepared, HostError, UnsupportedError for what cannot be told.
    """

    def changes(
        self, id: str, layers: tuple[Layer, ...], user_map: tuple[int, int] | None, mountpoints: frozenset[str]
    ) -> tuple[Change, ...]:
        """Every path that was added, changed or deleted, sorted; directories on the way to one count as changed.

        Work grows with what the container wrote (overlay) or with all its files (vfs).
        """
        ...

    def layer(
        self,
        id: str,
        layers: tuple[Layer, ...],
        user_map: tuple[int, int] | None,
        mountpoints: frozenset[str],
        out: Fd,
    ) -> None:
        """Write the same to the descriptor `out` as an uncompressed tar (OCI image-spec, layer.md).

        Prepared on top of `layers`, it shows what the container shows. Owners are those inside. Equal changes give
        equal bytes. Also raises UnsupportedError for a name or file that no layer can hold, ConflictError when a file
        is cut while it is read; OSError of `out` escapes as it is. What was written then is of no use.
        """
        ...
