"""The seven hooks. Five discover providers, two let any plugin take part; methods of the seams do the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from .model.plugin import Amendment, Event, Provider

PROJECT = "cmanager"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def cmanager_images() -> list[Provider]:
    """Image providers (`cmanager.seams.Images`) of this plugin. Import heavy modules in the factory, not here."""
    return []


@hookspec
def cmanager_storages() -> list[Provider]:
    """Storage providers (`cmanager.seams.Storage`) of this plugin."""
    return []


@hookspec
def cmanager_networks() -> list[Provider]:
    """Network providers (`cmanager.seams.Network`) of this plugin."""
    return []


@hookspec
def cmanager_limiters() -> list[Provider]:
    """Limiter providers (`cmanager.seams.Limiter`) of this plugin."""
    return []


@hookspec
def cmanager_runtimes() -> list[Provider]:
    """Runtime providers (`cmanager.seams.Runtime`) of this plugin."""
    return []


@hookspec
def cmanager_amend(spec: dict[str, Any], options: dict[str, Any]) -> Amendment | None:
    """Add to a container's configuration before it is written.

    spec: a copy of the OCI config.json; changing it has no effect. options: what stands in `[hooks.NAME]` of
    plugins.toml, unchecked; an implementation that takes none leaves the argument out. Return an `Amendment`, or None
    for nothing to add. Raise a `cmanager.errors.CmanagerError` to refuse the container. Called for plugins listed in
    `[hooks] amend`.
    """
    return None


@hookspec
def cmanager_event(event: Event, options: dict[str, Any]) -> None:
    """Hear of something that happened. A failure is one warning; the container does not notice.

    options: as in `cmanager_amend`. Called for plugins listed in `[hooks] event`, in the process where it happened.
    """
