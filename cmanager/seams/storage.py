"""The storage seam: layers in, a root file system described as mounts out; and volumes, which outlive containers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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
