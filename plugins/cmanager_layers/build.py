"""From a recipe to an image in the registry directory; the same recipe and packages always give the same digests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cmanager.errors import HostError
from cmanager.model import Progress, PullEvent
from cmanager.model.imagestore import Descriptor, documents

from . import packages, recipe, tarball
from .installed import python_files
from .recipe import LayerRecipe, Recipe
from .workshop import Workshop, plain, workshop

_TAG = "latest"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
#: What adds one entry to a layer, called with its path.
_Add = Callable[[str], None]


def build(names: tuple[str, ...], recipes: str, registry: str, progress: Progress) -> frozenset[str]:
    """Build these recipes, all when there are none; returns their references. See `cmanager.seams.Registry.build`."""
    chosen = recipe.choose(recipes, names)
    for found in chosen:
        try:
            with workshop(registry, found.name) as place:
                _image(found, place, progress)
        except OSError as error:
            raise HostError.of(f"build {found.name} into", error.filename or registry, error) from None
    return frozenset(f"{found.name}:{_TAG}" for found in chosen)


def _image(found: Recipe, place: Workshop, progress: Progress) -> None:
    layers, diff_ids, history = [], [], []
    for number, part in enumerate(found.layers, 1):
        what = f"{found.name} layer {number} of {len(found.layers)}"
        progress(PullEvent(what, "building"))
        layer, diff_id = _layer(part, found.epoch, place)
        layers.append(layer)
        diff_ids.append(diff_id)
        history.append({"created": _date(found.epoch), "created_by": f"recipe {found.name}, layer {number}"})
        progress(PullEvent(what, "complete", layer.size, layer.size, text="Built"))
    config = {
        "created": _date(found.epoch),
        "architecture": documents.architecture(),
        "os": "linux",
        "config": found.config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": documents.OCI_MANIFEST}
    manifest["config"] = plain(place.document(documents.OCI_CONFIG, config))
    manifest["layers"] = [plain(layer) for layer in layers]
    place.publish(place.document(documents.OCI_MANIFEST, manifest), _TAG)


def _layer(part: LayerRecipe, epoch: int, place: Workshop) -> tuple[Descriptor, str]:
    with place.open() as file, tarball.Layer(file, epoch) as layer:
        _fill(layer, part, epoch)
    place.keep(layer.digest)
    return Descriptor(layer.digest, layer.size, _LAYER), layer.diff_id


def _fill(layer: tarball.Layer, part: LayerRecipe, epoch: int) -> None:
    if part.debian:
        with packages.bootstrap(part.debian, epoch) as entries:
            for member, source in entries:
                layer.copy(member, source)
    entries_by_path: dict[str, _Add] = {}
    if part.busybox:
        _add_busybox(layer, entries_by_path)
    if part.cmanager:
        for name, content in python_files().items():
            entries_by_path[f"{part.cmanager}/{name}"] = partial(layer.file, content=content)
    for place, mode in part.directories.items():
        entries_by_path[place] = partial(layer.directory, mode=mode)
    for place, text in part.files.items():
        entries_by_path[place] = partial(layer.file, content=text.encode())
    for parent in _parents(entries_by_path) if not part.debian else ():
        entries_by_path.setdefault(parent, layer.directory)
    for path in sorted(entries_by_path):
        entries_by_path[path](path)


def _add_busybox(layer: tarball.Layer, entries: dict[str, _Add]) -> None:
    program, commands = packages.busybox()
    entries["bin/busybox"] = partial(layer.file, content=program, mode=0o755)
    for command in commands:
        target = "../" * command.count("/") + "bin/busybox"
        entries[command] = partial(layer.link, target=target)


def _parents(paths: dict[str, Any]) -> set[str]:
    return {path[:at] for path in paths for at in range(len(path)) if path[at] == "/"}


def _date(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
