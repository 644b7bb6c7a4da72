"""`gc`: give back whatever a crash left, by name rather than by memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ..errors import CmanagerError, ConflictError, CorruptError, NotFoundError
from ..linux import files, netns
from ..linux.values import frozen
from ..model.names import ID
from ..plugins import Plugins
from ..state import Store
from ..supervisor import attachments, rootfs, slots
from .reconcile import Reconciler

if TYPE_CHECKING:
    from .pods import Pods


@frozen
class Collected:
    """What `gc` did. containers: ids something was undone for, of pods too; bytes: freed in the image store and in
    storage; problems: a line for each thing that could not be undone and will be tried again."""

    containers: tuple[str, ...]
    bytes: int
    problems: tuple[str, ...]


def collect(store: Store, plugins: Plugins, reconciler: Reconciler, pods: Pods, *, pools: bool = False) -> Collected:
    """Settle every record, undo what no record knows, remove blobs and layers that nobody needs.

    pools: also what is kept ready for containers to come.

    Grows with the number of containers and of stored layers. Never touches what a command is at work on.
    """
    storage = rootfs.store(plugins, plugins.default("storage"))
    before = set(store.ids())
    for container in store.all():
        reconciler.settled(container)
    done = before - set(store.ids())
    if pools:
        done |= slots.dismiss(store.paths)
    undone, problems = pods.collect()
    done |= undone
    for id in sorted(_strays(store, plugins) - pods.ids()):
        with suppress(ConflictError), store.locked(id, wait=False):
            if id in store.ids() or id in pods.ids():
                continue
            left = undo_all(store, plugins, id)
            problems += left
            if not left:
                store.remove(id)
                done.add(id)
    problems += attachments.collect(plugins, store)
    store.sweep()
    images = plugins.get("image", plugins.default("image"))
    used = frozenset(container.image_digest for container in store.all())
    freed = images.collect(used)
    layers = set()
    for digest in used | {entry.image.digest for entry in images.entries()}:
        try:
            layers |= {layer.diff_id for layer in images.resolve(digest).layers}
        except NotFoundError:
            continue
        except CorruptError as error:
            # Its layers cannot be named, so none may be taken for useless.
            problems.append(f"image {digest}: {error}, pull it again")
            return Collected(tuple(sorted(done)), freed, tuple(problems))
    freed += storage.collect(frozenset(layers))
    return Collected(tuple(sorted(done)), freed, tuple(problems))


def undo_all(store: Store, plugins: Plugins, id: str) -> list[str]:
    """Undo, on every seam, whatever the configured providers hold for `id`; a line for each failure."""
    paths = store.paths
    problems = []
    undos: tuple[tuple[str, Callable[[], None]], ...] = (
        ("limiter", lambda: plugins.get("limiter", plugins.default("limiter")).remove(id)),
        *(
            (f"network {name}", partial(_detach, plugins, name, id, paths.netns(id)))
            for name in _network_names(plugins)
        ),
        ("network namespace", lambda: netns.unpin(paths.netns(id))),
        ("user namespace", lambda: netns.unpin(paths.userns(id))),
        ("storage", lambda: rootfs.store(plugins, plugins.default("storage")).remove(id)),
        ("waiters", lambda: files.remove_tree(paths.waiters(id))),
        ("slot", lambda: files.remove_tree(paths.slot(id))),
    )
    for what, undo in undos:
        try:
            undo()
        except (CmanagerError, OSError) as error:
            problems.append(f"{what} of {id[:12]}: {error}")
    return problems


def _detach(plugins: Plugins, name: str, id: str, path: str) -> None:
    plugins.get("network", name).detach(id, path)


def _strays(store: Store, plugins: Plugins) -> set[str]:
    """Ids that something exists for, but no record of a container."""
    found: set[str] = set()
    for directory in ("containers", "netns", "userns", "waiters", "slots"):
        with suppress(FileNotFoundError):
            found.update(name for name in os.listdir(f"{store.paths.run_root}/{directory}") if ID.fullmatch(name))
    for seam, name in [
        ("limiter", plugins.default("limiter")),
        ("storage", plugins.default("storage")),
        *(("network", name) for name in _network_names(plugins)),
    ]:
        found |= plugins.get(seam, name).owned()
    return found - set(store.ids())


def _network_names(plugins: Plugins) -> list[str]:
    """Network providers with options or defaults in the configuration: the ones that may hold something."""
    return sorted({plugins.default("network")})
