"""A container's volumes on the way into it: filled on first use, id-mapped; and those that go away with it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

import attrs

from ..errors import HostError, NotFoundError, UnsupportedError
from ..linux import files, inroot, syscalls
from ..linux.mounts import Mount
from ..model.container import Container
from ..model.volume import Volume, VolumeMount
from ..plugins import Plugins
from ..seams import DriveVolumes, Volumes
from ..state import Store

if TYPE_CHECKING:
    from .launch import Launch

#: What the host is not to be given through a volume: setuid programs and device nodes (row S-20).
DEFAULT_OPTIONS = ("nosuid", "nodev")
#: Of a volume that is filled from a directory of its own.
_INSIDE = ".cmanager"


def keeper(plugins: Plugins, name: str) -> Volumes:
    """The storage provider `name` as one that keeps volumes. Raises UnsupportedError when it does not."""
    storage = plugins.get("storage", name)
    if not isinstance(storage, Volumes):
        raise UnsupportedError(f"storage plugin {name!r} keeps no volumes, name another with --driver")
    return storage


def drivers(plugins: Plugins, store: Store) -> list[str]:
    """The default provider, and every other that has a directory of its own: none else can hold anything."""
    default = plugins.default("storage")
    try:
        others = os.listdir(f"{store.paths.root}/storage")
    except FileNotFoundError:
        others = []
    return [default, *sorted(name for name in others if name != default)]


def locked(store: Store, name: str, keeper: Volumes | None = None) -> AbstractContextManager[int]:
    """The lock for making and removing volumes of the storage provider `name`.

    One that waits for a driver has a lock of its own (keeper: itself), so that nobody else waits too; names are taken
    under the common lock, which comes last. Whoever needs a container's lock takes that one first.
    """
    own = f"-{name}" if isinstance(keeper, DriveVolumes) else ""
    return files.locked(f"{store.paths.run_root}/locks/volumes{own}")


def drop(plugins: Plugins, store: Store, container: Container) -> None:
    """Remove the anonymous volumes of a container that goes away, but those that another one uses.

    Idempotent; reads every container's record, if there is such a volume at all.
    """
    own = [use for use in container.request.volumes if use.anonymous]
    for driver in sorted({use.driver for use in own}):
        provider = keeper(plugins, driver)
        with locked(store, driver, provider):
            used = {use.name for other in store.all() if other.id != container.id for use in other.request.volumes}
            for use in own:
                if use.driver == driver and use.name not in used:
                    provider.remove_volume(use.name)


def attach(launch: Launch, directory: str) -> tuple[Mount, ...]:
    """Fill the volumes of a container whose root is mounted at `directory/rootfs`, and describe their mounts.

    Call it in the supervisor's private mount namespace, before anything runs in the container; what it mounts there
    `rootfs.unmount` unmounts. Raises NotFoundError for a missing subpath, UnsupportedError and HostError.
    """
    container = launch.container
    uses = container.request.volumes
    if not uses:
        return ()
    first = container.user_map[0] if container.user_map else 0
    found = []
    root = inroot.open_root(f"{directory}/rootfs")
    try:
        for number, (use, volume) in enumerate(zip(uses, launch.volumes, strict=True)):
            # Only before its first start, as in Docker: what it removes from a volume later stays removed.
            fresh = use.copy and not use.subpath and not container.status.started_at
            try:
                if not volume.staging:
                    _fill_inside(volume, root if fresh else -1, use.target, first, launch.paths.run_root)
                elif fresh or os.path.exists(_filled(volume)):
                    fill(volume, root if fresh else -1, use.target, first)
                place = source(volume, use, f"{directory}/mapped-{number}", launch.namespaces.get("user", ""))
            except OSError as error:
                raise HostError.of(f"attach volume {volume.name} for", use.target, error) from None
            found.append(Mount("bind", place, use.target, ("bind", *DEFAULT_OPTIONS, *use.options, "rprivate")))
    finally:
        os.close(root)
    return tuple(found)


def fill(volume: Volume, root: int, path: str, first: int = 0, lock: str = "") -> None:
    """Give an empty volume what `path` under the open directory `root` holds, and its owner and mode.

    root: -1 to only finish what an earlier call left half moved; first: host id of the container's root; lock: path of
    a lock against others who fill it, "" for one in its staging directory. The copy is
    made out of sight and synced, one rename declares it whole, then its entries are moved in one by one: a death
    before that rename leaves an empty volume, one after it leaves what the next call finishes. Nothing that is in the
    volume is replaced. Raises OSError, and UnsupportedError where `path` leads to the root itself.
    """
    with files.locked(lock or f"{volume.staging}/lock"):
        _move_in(volume)
        if root < 0 or set(os.listdir(volume.mountpoint)) - {_INSIDE}:
            return
        try:
            source = inroot.open_in(root, path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            if os.path.samestat(os.fstat(source), os.fstat(root)):
                raise UnsupportedError(f"volume {volume.name}: {path} is a link to / in the image")
            _copy_in(volume, source, first)
        finally:
            os.close(source)


def _fill_inside(volume: Volume, root: int, path: str, first: int, run_root: str) -> None:
    """The same for a volume without a staging directory: a hidden one inside of it, which goes when the volume is
    filled. Locks of the host's own: a volume's file system may have none."""
    staged = attrs.evolve(volume, staging=f"{volume.mountpoint}/{_INSIDE}")
    names = os.listdir(volume.mountpoint)
    if _INSIDE not in names and (names or root < 0):
        return
    try:
        os.makedirs(staged.staging, mode=0o700, exist_ok=True)
        fill(staged, root, path, first, f"{run_root}/locks/filling-{volume.driver}")
        files.remove_tree(staged.staging)
    except OSError as error:
        with suppress(OSError):
            os.rmdir(staged.staging)
        if error.errno == errno.EROFS:
            return  # a volume to which nobody can write stays as it is
        said = f"fill volume {volume.name}, which volume-nocopy leaves empty, from the image's"
        raise HostError.of(said, path, error) from None


def _copy_in(volume: Volume, source: int, first: int) -> None:
    from ..linux.volumes import copy

    filling = f"{volume.staging}/filling"
    files.remove_tree(filling)  # what a death left
    os.mkdir(filling, 0o700)
    target = _open(filling)
    try:
        copy.copy_tree(source, target, first)
        if os.listdir(filling):
            syscalls.syncfs(target)
    except BaseException:
        files.remove_tree(filling)
        raise
    finally:
        os.close(target)
    os.rename(filling, _filled(volume))
    files.sync_directory(volume.staging)
    _move_in(volume)


def _move_in(volume: Volume) -> None:
    """From the finished copy into the volume; the mountpoint itself stays the one that others have mounted."""
    from ..linux.volumes import copy

    filled = _filled(volume)
    if not os.path.isdir(filled):
        return
    source, target = _open(filled), _open(volume.mountpoint)
    try:
        times = os.fstat(source)
        there = set(os.listdir(target))
        for name in os.listdir(source):
            if name not in there:
                os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
        copy.copy_attributes(source, target)
        # Moving the entries out has changed the copy's.
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    finally:
        os.close(source)
        os.close(target)
    files.remove_tree(filled)


def source(volume: Volume, use: VolumeMount, place: str, userns: str) -> str:
    """A path that shows what is to be bound: the volume itself, or `place`, where a copy of its mount hangs."""
    if not use.subpath and not userns:
        return volume.mountpoint
    top = inroot.open_root(volume.mountpoint)
    try:
        here = _below(top, volume, use.subpath)
        try:
            flags = syscalls.AT_EMPTY_PATH | syscalls.OPEN_TREE_CLONE
            tree = syscalls.open_tree(here, "", flags)
            try:
                if userns:
                    _map_ids(tree, volume, userns)
                return _hang(tree, place)
            finally:
                os.close(tree)
        finally:
            os.close(here)
    finally:
        os.close(top)


def _below(top: int, volume: Volume, subpath: str) -> int:
    try:
        return inroot.open_in(top, subpath, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"volume {volume.name} has no {subpath!r}, volume-subpath must exist") from None


def _map_ids(tree: int, volume: Volume, userns: str) -> None:
    namespace = os.open(userns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.mount_setattr(tree, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_IDMAP, userns=namespace)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # mount_setattr(2): the file system does not support id-mapped mounts.
        raise UnsupportedError(
            f"the file system of volume {volume.name} ({volume.mountpoint}) cannot be id-mapped, use --userns host"
        ) from None
    finally:
        os.close(namespace)


def _hang(tree: int, place: str) -> str:
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        os.makedirs(place, mode=0o700, exist_ok=True)
    else:
        place += ".file"
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    point = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        syscalls.move_mount(tree, point)
    finally:
        os.close(point)
    return place


def _filled(volume: Volume) -> str:
    return f"{volume.staging}/filled"


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
