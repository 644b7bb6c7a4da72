"""Volumes that are at no path until their provider attaches them: for a start, and for `cp` into what does not run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import attrs

from ..errors import CmanagerError, ConflictError, NotFoundError
from ..model.container import Container
from ..model.volume import Volume, VolumeMount
from ..plugins import Plugins
from ..seams import AttachVolumes
from ..state import Store
from .volumes import drivers


def names(plugins: Plugins, container: Container) -> str:
    """Those of a container with their providers, for people; "" where there are none."""
    return ", ".join(f"{use.name or 'without a name'} ({use.driver})" for use in _uses(plugins, container))


def attach(plugins: Plugins, container: Container) -> dict[str, str]:
    """Attach the volumes of a container that need it; returns their paths by name."""
    return {
        use.name: _provider(plugins, use.driver).attach_volume(use.name, container.id)
        for use in _uses(plugins, container)
    }


def placed(volumes: tuple[Volume, ...], paths: dict[str, str]) -> tuple[Volume, ...]:
    """The volumes where they were attached."""
    return tuple(attrs.evolve(volume, mountpoint=paths.get(volume.name, volume.mountpoint)) for volume in volumes)


def detach(plugins: Plugins, container: Container) -> None:
    """Undo `attach`, each whatever becomes of the others; raises the first error."""
    failed: CmanagerError | None = None
    for use in _uses(plugins, container):
        try:
            _provider(plugins, use.driver).detach_volume(use.name, container.id)
        except CmanagerError as error:
            failed = failed or error
    if failed:
        raise failed


def collect(plugins: Plugins, store: Store) -> Iterator[str]:
    """Detach what no running container needs any more; a line for each thing that could not be."""
    for driver in drivers(plugins, store):
        try:
            provider = plugins.get("storage", driver)
            left = provider.attached() if isinstance(provider, AttachVolumes) else ()
        except CmanagerError:
            continue  # who cannot be asked has nothing that could be undone
        for name, id in left:
            try:
                with suppress(ConflictError), store.locked(id, wait=False):
                    if not _lives(store, id):
                        provider.detach_volume(name, id)
            except CmanagerError as error:
                yield f"volume {name} of {id[:12]}: {error}"


def _lives(store: Store, id: str) -> bool:
    with suppress(NotFoundError):
        return store.load(id).status.supervisor is not None
    return False


def _uses(plugins: Plugins, container: Container) -> Iterator[VolumeMount]:
    """Each volume once. One whose provider cannot be had is among them: what is wrong is told when it is needed."""
    seen = set()
    for use in container.request.volumes:
        if use.driver and (not use.name or use.name not in seen):
            seen.add(use.name)
            try:
                needed = isinstance(plugins.get("storage", use.driver), AttachVolumes)
            except CmanagerError:
                needed = True
            if needed:
                yield use


def _provider(plugins: Plugins, name: str) -> AttachVolumes:
    provider: AttachVolumes = plugins.get("storage", name)
    return provider
