"""From a recipe to an image in the registry directory; the same recipe and packages always give the same digests."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from typing import Any

from cmanager.errors import HostError
from cmanager.linux import files
from cmanager.model import Progress, PullEvent

from . import documents, packages, recipe, tarball
from .documents import Descriptor
from .layout import Layout
from .recipe import LayerRecipe, Recipe

_TAG = "latest"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
#: What adds one entry to a layer, called with its path.
_Add = Callable[[str], None]
#: What this cmanager imports, by the names of the distributions.
_IMPORTED = (
    "attrs",
    "click",
    "markdown-it-py",
    "mdurl",
    "pluggy",
    "pygments",
    "pyseccomp",
    "rich",
    "tomli",
)


def build(names: tuple[str, ...], recipes: str, registry: str, progress: Progress) -> frozenset[str]:
    """Build these recipes, all when there are none; returns their references. See `cmanager.seams.Registry.build`."""
    chosen = recipe.choose(recipes, names)
    try:
        os.makedirs(registry, mode=0o755, exist_ok=True)
        for found in chosen:
            directory = f"{registry}/{found.name}"
            os.makedirs(f"{directory}/blobs/sha256", mode=0o755, exist_ok=True)
            with files.locked(f"{directory}/.lock"):
                _image(found, directory, progress)
    except OSError as error:
        raise HostError.of("build into", registry, error) from None
    return frozenset(f"{found.name}:{_TAG}" for found in chosen)


def _image(found: Recipe, directory: str, progress: Progress) -> None:
    layers, diff_ids, history = [], [], []
    for number, part in enumerate(found.layers, 1):
        what = f"{found.name} layer {number} of {len(found.layers)}"
        progress(PullEvent(what, "building"))
        layer, diff_id = _layer(part, found.epoch, directory)
        layers.append(layer)
        diff_ids.append(diff_id)
        history.append({"created": _date(found.epoch), "created_by": f"recipe {found.name}, layer {number}"})
        progress(PullEvent(what, "complete", layer.size, layer.size, text="Built"))
    config = _document(
        directory,
        documents.OCI_CONFIG,
        {
            "created": _date(found.epoch),
            "architecture": documents.architecture(),
            "os": "linux",
            "config": found.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        },
    )
    manifest = {"schemaVersion": 2, "mediaType": documents.OCI_MANIFEST, "config": _plain(config)}
    manifest["layers"] = [_plain(layer) for layer in layers]
    Layout(directory).publish(_document(directory, documents.OCI_MANIFEST, manifest), _TAG)


def _layer(part: LayerRecipe, epoch: int, directory: str) -> tuple[Descriptor, str]:
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".layer-", delete=False) as file:
        try:
            with tarball.Layer(file, epoch) as layer:
                _fill(layer, part, epoch)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.rename(file.name, _path(directory, layer.digest))
        except BaseException:
            os.unlink(file.name)
            raise
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
        for name, content in _python_files().items():
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


def _python_files() -> dict[str, bytes]:
    """This cmanager, its plugins and what they import, by path: source only, which any Python runs."""
    import cmanager

    package = os.path.dirname(os.path.abspath(cmanager.__file__))
    roots = [(package, "cmanager")]
    here = os.path.dirname(os.path.abspath(__file__))
    for name in sorted(os.listdir(os.path.dirname(here))):
        if name.startswith("cmanager_") and os.path.isdir(f"{os.path.dirname(here)}/{name}"):
            roots.append((f"{os.path.dirname(here)}/{name}", name))
    found: dict[str, bytes] = {}
    for root, name in roots:
        for directory, _, names in os.walk(root):
            inside = os.path.relpath(directory, root)
            for file in names:
                if file.endswith((".py", ".toml")):
                    found[os.path.normpath(f"{name}/{inside}/{file}")] = _read(f"{directory}/{file}")
    shipped = f"{package}/_shipped" if os.path.isdir(f"{package}/_shipped") else os.path.dirname(package)
    found["cmanager/_shipped/plugins.toml"] = _read(f"{shipped}/plugins.toml")
    for name in _IMPORTED:
        for path in metadata.files(name) or ():
            if path.suffix in (".py", ".toml", ".json") and ".." not in path.parts:
                found[str(path)] = _read(str(path.locate()))
    return found


def _document(directory: str, media_type: str, data: dict[str, Any]) -> Descriptor:
    content = json.dumps(data, sort_keys=True).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    files.write_atomic(_path(directory, digest), content, durable=True, mode=0o644)
    return Descriptor(digest, len(content), media_type)


def _plain(descriptor: Descriptor) -> dict[str, Any]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def _path(directory: str, digest: str) -> str:
    return f"{directory}/blobs/sha256/{digest.removeprefix('sha256:')}"


def _date(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
