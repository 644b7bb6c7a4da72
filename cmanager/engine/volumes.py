"""Volumes: made, listed, removed, and found for the containers that use them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field

from ..errors import CmanagerError, ConflictError, InvalidError, NotFoundError, PluginError, UnsupportedError
from ..linux import files
from ..linux.values import frozen
from ..model.container import Container, RunRequest
from ..model.image import ImageConfig
from ..model.names import check_name, new_id
from ..model.volume import Volume, VolumeMount
from ..plugins import Plugins
from ..seams import DriveVolumes, Volumes
from ..state import Store
from ..supervisor import volumes as attached
from ..supervisor.announce import Announcer
from . import checks

if TYPE_CHECKING:
    from .usage import VolumeUse


@frozen
class Listed:
    """Volumes by name, and a line for each storage provider that could not be asked."""

    volumes: tuple[Volume, ...] = ()
    problems: tuple[str, ...] = field(default=())


class NamedVolumes:
    """The volumes of every storage provider that holds some.

    A name belongs to one volume whatever its provider. A container uses a volume from when it is recorded until it is
    removed, also while it does not run. `usable` and `removable` cost a read per container.
    """

    def __init__(self, store: Store, plugins: Plugins, announcer: Announcer) -> None:
        self._store, self._plugins, self._announcer = store, plugins, announcer

    def create(
        self,
        name: str = "",
        labels: dict[str, str] | None = None,
        driver: str = "",
        options: dict[str, str] | None = None,
    ) -> Volume:
        """Make a volume; one that is there already is success, unless another provider has it or it was made with other
        options (ConflictError).

        name: "" for a new one of 64 hex digits, which counts as anonymous; driver: a storage provider, "" for the
        default one; options: of a driver that takes some, else UnsupportedError.
        """
        check_name(name, "volume name") if name else None
        use = VolumeMount(
            name or new_id(), "", driver=driver, labels=labels or {}, anonymous=not name, driver_options=options or {}
        )
        if not self._existing(use):
            self._check_new(use, driver or self._plugins.default("storage"))
        self._store.initialise()
        return self._ensure(use)

    def entries(self) -> Listed:
        """All volumes. Grows with their number."""
        found, problems = [], []
        for driver in attached.drivers(self._plugins, self._store):
            try:
                if keeper := self._keeper(driver):
                    found += [attrs.evolve(volume, driver=driver) for volume in keeper.volumes()]
            except CmanagerError as error:
                problems.append(f"the volumes of storage {driver} cannot be listed: {error}")
        return Listed(tuple(sorted(found, key=lambda volume: volume.name)), tuple(problems))

    def inspect(self, name: str) -> Volume:
        """One volume by its name. Raises NotFoundError."""
        check_name(name, "volume name")
        failures = []
        for driver in attached.drivers(self._plugins, self._store):
            try:
                if keeper := self._keeper(driver):
                    return attrs.evolve(keeper.volume(name), driver=driver)
            except NotFoundError:
                continue
            except CmanagerError as error:
                failures.append(f"storage {driver}: {error}")
        if failures:
            raise PluginError(f"cannot tell whether there is a volume {name}, {'; '.join(failures)}")
        raise NotFoundError(f"no such volume: {name}, see `cmanager volume ls`")

    def remove(self, name: str) -> None:
        """Remove a volume with its files. Raises ConflictError naming the container that uses it, NotFoundError."""
        self._store.initialise()
        with self._locked(self.inspect(name).driver):
            volume = self.inspect(name)
            for container in self._store.all():
                if any(use.name == name for use in container.request.volumes):
                    user = f"{container.name} ({container.id[:12]})"
                    raise ConflictError(f"volume {name} is in use by container {user}, remove that first")
            attached.keeper(self._plugins, volume.driver).remove_volume(name)
        self._announce("destroy", volume)

    def prune(self, wanted: Callable[[Volume], bool]) -> tuple[tuple[str, ...], int]:
        """Remove the `wanted` among the volumes that no container uses; returns their names and the bytes freed.

        Raises ConflictError while a container's record cannot be read: its volumes cannot be told from unused ones. One
        that cannot be removed is told of (`Engine(warn=…)`), and the others go.
        """
        self._store.initialise()
        gone, freed = [], 0
        candidates = [volume for volume in self.entries().volumes if not volume.problem and wanted(volume)]
        for driver in dict.fromkeys(volume.driver for volume in candidates):
            with self._locked(driver):
                if broken := self._store.corrupt():
                    said = f"the record of container {min(broken)[:12]} is corrupt: `cmanager rm -f` it first"
                    raise ConflictError(said)
                used = self.used()
                for volume in candidates:
                    if volume.driver == driver and volume.name not in used:
                        try:
                            freed += self._remove(volume)
                            gone.append(volume)
                        except CmanagerError as error:
                            self._announcer.warn(f"volume {volume.name} stays: {error}")
        for volume in gone:
            self._announce("destroy", volume)
        return tuple(volume.name for volume in gone), freed

    def usage(self) -> tuple[VolumeUse, ...]:
        """What each volume takes, and how many containers use it; walks all their files."""
        from .usage import VolumeUse

        users = Counter(name for container in self._store.all() for name in {u.name for u in container.request.volumes})
        found = []
        for volume in self.entries().volumes:
            try:
                size = attached.keeper(self._plugins, volume.driver).volume_usage(volume.name)
            except CmanagerError:
                size = 0
            found.append(VolumeUse(volume, size, users[volume.name]))
        return tuple(found)

    def used(self) -> frozenset[str]:
        """Names of the volumes that some container uses; a read per container."""
        return frozenset(use.name for container in self._store.all() for use in container.request.volumes)

    def of(self, container: Container) -> tuple[Volume, ...]:
        """The volumes that a container uses, but those that are not there or cannot be asked for."""
        found = []
        for use in container.request.volumes:
            with suppress(CmanagerError):
                keeper = attached.keeper(self._plugins, use.driver)
                found.append(attrs.evolve(keeper.volume(use.name), driver=use.driver))
        return tuple(found)

    # -- for containers ------------------------------------------------------------------------------------------

    def inherit(self, request: RunRequest, find: Callable[[str], Container]) -> RunRequest:
        """The request with the mounts of the containers that `volumes_from` names.

        Those named later win over earlier ones, the request's own mounts over all. Raises InvalidError, NotFoundError.
        """
        volumes = {_place(use.target): use for use in request.volumes}
        mounts = {_place(mount.target): mount for mount in request.mounts}
        own = volumes.keys() | mounts.keys()
        for word in reversed(request.volumes_from):
            name, _, mode = word.partition(":")
            if mode not in ("", "ro", "rw"):
                raise InvalidError(f"invalid --volumes-from {word!r}, expected CONTAINER[:ro|rw]")
            other, extra = find(name).request, ("ro",) if mode == "ro" else ()
            taken = volumes.keys() | mounts.keys()
            for use in other.volumes:
                if _place(use.target) not in taken:
                    volumes[_place(use.target)] = attrs.evolve(use, options=use.options + extra)
            for mount in other.mounts:
                if mount.is_bind and _place(mount.target) not in taken:
                    mounts[_place(mount.target)] = attrs.evolve(mount, options=mount.options + extra)
        if len(own) == len(volumes) + len(mounts):
            return request
        # What the request itself asks for twice stays there, for the check that refuses it.
        added = [use for place, use in volumes.items() if place not in own]
        bound = [mount for place, mount in mounts.items() if place not in own]
        return attrs.evolve(request, volumes=(*request.volumes, *added), mounts=(*request.mounts, *bound))

    def status(self, volume: Volume) -> dict[str, Any]:
        """What its driver says of it now, or why it says nothing; empty for a volume that has no driver."""
        try:
            keeper = attached.keeper(self._plugins, volume.driver)
            return keeper.volume_status(volume.name) if isinstance(keeper, DriveVolumes) else {}
        except CmanagerError as error:
            return {"Error": str(error)}

    def check(self, request: RunRequest, storage: str) -> RunRequest:
        """Refuse volumes that cannot be had, before anything is made; the request with the provider of each.

        storage: the container's provider. A driver is asked whether it is there.
        """
        found = []
        for use in request.volumes:
            if use.name:
                check_name(use.name, "volume name")
            driver = self._driver(use, storage)
            self._check_new(use, driver)
            found.append(attrs.evolve(use, driver=driver))
        return attrs.evolve(request, volumes=tuple(found))

    def settle(self, id: str, request: RunRequest, image: ImageConfig, storage: str) -> RunRequest:
        """The request with the volumes that the image declares, and with every volume's name and provider.

        An anonymous volume is named after its container and its place, so that a step that is undone knows it.
        """
        taken = {_place(use.target) for use in request.volumes} | {_place(mount.target) for mount in request.mounts}
        declared = [path for path in dict.fromkeys(map(_place, image.volumes)) if path not in taken]
        try:
            checks.check_targets(declared)
        except InvalidError as error:
            raise InvalidError(f"image {request.image} declares a volume that cannot be: {error}") from None
        volumes = [*request.volumes, *(VolumeMount("", path) for path in declared)]
        named = [
            use if use.name else attrs.evolve(use, name=_anonymous(id, use.target), anonymous=True) for use in volumes
        ]
        settled = tuple(attrs.evolve(use, driver=self._driver(use, storage)) for use in named)
        return attrs.evolve(request, volumes=settled)

    def ensure(self, container: Container, *, created: bool = True) -> tuple[Volume, ...]:
        """The volumes that a recorded container uses, in its order; what is missing is made.

        created: False when its record is new. Then whoever was about to remove one of them before is waited for.
        """
        return tuple(self._find(use) if created else self._ensure(use) for use in container.request.volumes)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _find(self, use: VolumeMount) -> Volume:
        """Without the lock: nobody removes what a container uses but behind our back."""
        with suppress(NotFoundError):
            return attrs.evolve(attached.keeper(self._plugins, use.driver).volume(use.name), driver=use.driver)
        return self._ensure(use)

    def _ensure(self, use: VolumeMount) -> Volume:
        driver = use.driver or self._plugins.default("storage")
        keeper = attached.keeper(self._plugins, driver)
        if not isinstance(keeper, DriveVolumes):
            with self._locked(driver):
                found = self._existing(use)
                made = found or keeper.create_volume(use.name, use.labels, anonymous=use.anonymous)
        else:
            with self._locked(driver):
                with files.locked(f"{self._store.paths.run_root}/locks/volumes"):
                    found = self._existing(use)
                    if not found:
                        keeper.record_volume(use.name, use.labels, use.driver_options, anonymous=use.anonymous)
                made = found or keeper.ready_volume(use.name)
        if found:
            return found
        volume = attrs.evolve(made, driver=driver)
        self._announce("create", volume)
        return volume

    def _existing(self, use: VolumeMount) -> Volume | None:
        """The volume of that name, if it fits what is asked for; ConflictError if not."""
        try:
            found = self.inspect(use.name)
        except NotFoundError:
            return None
        if use.driver not in ("", found.driver):
            raise ConflictError(f"volume {use.name} exists already in storage {found.driver}")
        if use.driver_options and use.driver_options != found.options:
            had = ", ".join(f"{key}={value}" for key, value in found.options.items()) or "none"
            raise ConflictError(f"volume {use.name} exists already with other options: {had}")
        return found

    def _remove(self, volume: Volume) -> int:
        keeper = attached.keeper(self._plugins, volume.driver)
        size = keeper.volume_usage(volume.name)
        keeper.remove_volume(volume.name)
        return size

    def _check_new(self, use: VolumeMount, driver: str) -> None:
        """Refuse what a provider cannot do, or no driver would be there for."""
        keeper = attached.keeper(self._plugins, driver)
        if isinstance(keeper, DriveVolumes):
            keeper.check_driver()
        elif use.driver_options:
            key = next(iter(use.driver_options))
            raise UnsupportedError(
                f"volume option {key!r}: storage plugin {driver!r} takes none; for a host directory or a tmpfs use "
                "run --mount"
            )

    def _locked(self, driver: str) -> AbstractContextManager[int]:
        return attached.locked(self._store, driver, attached.keeper(self._plugins, driver))

    def _driver(self, use: VolumeMount, storage: str) -> str:
        """The provider that has the volume, or will have it."""
        if use.name:
            with suppress(NotFoundError):
                driver = self.inspect(use.name).driver
                if use.driver not in ("", driver):
                    raise ConflictError(f"volume {use.name} exists already in storage {driver}, not in {use.driver}")
                return driver
        attached.keeper(self._plugins, use.driver or storage)
        return use.driver or storage

    def _keeper(self, driver: str) -> Volumes | None:
        """The storage provider of that name, None when it is one that keeps no volumes."""
        storage = self._plugins.get("storage", driver)
        return storage if isinstance(storage, Volumes) else None

    def _announce(self, action: str, volume: Volume) -> None:
        self._announcer.announce("volume", action, volume.name, {"driver": volume.driver})


def _place(target: str) -> str:
    """A target as the kernel will see it; an image may write it as it likes ("/../../etc" is "/etc")."""
    return "/" + os.path.normpath("/" + target).lstrip("/")


def _anonymous(id: str, target: str) -> str:
    return hashlib.sha256(f"{id}:{_place(target)}".encode("utf-8", "surrogateescape")).hexdigest()
