"""Images shelf: OCI image layouts in a directory, with an index of what is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from attrs import frozen

from cmanager import hookimpl
from cmanager.errors import CmanagerError, NotFoundError, UnsupportedError
from cmanager.model import Context, Image, ImageEntry, Progress, Provider, PullEvent, Reference
from cmanager.model.imagestore import ImageStore, Layout, choose, compose, document, documents


@frozen
class Options:
    """registry: str, the directory."""

    registry: str = "/var/lib/shelf"


class Shelf:
    def __init__(self, state_dir: str, registry: str) -> None:
        self._registry = registry
        self._store = ImageStore(state_dir, self._find)

    def pull(self, reference: Reference, progress: Progress) -> Image:
        progress(PullEvent("", "status", text=f"{reference}: looking on the shelf"))
        return self._store.pull(reference, progress)

    def resolve(self, reference: str) -> Image:
        return self._store.resolve(reference)

    def entries(self) -> tuple[ImageEntry, ...]:
        return self._store.entries()

    def tag(self, source: str, target: Reference) -> None:
        self._store.tag(source, target)

    def remove(self, reference: str, in_use: frozenset[str]) -> tuple[str, ...]:
        return self._store.remove(reference, in_use)

    def collect(self, in_use: frozenset[str]) -> int:
        return self._store.collect(in_use)

    def recipes(self) -> dict[str, str]:
        return {}

    def repositories(self) -> tuple[ImageEntry, ...]:
        return tuple(sorted(self._repositories(), key=lambda entry: entry.reference))

    def build(self, names: tuple[str, ...], progress: Progress) -> tuple[ImageEntry, ...]:
        if names:
            raise NotFoundError(f"shelf has no recipe {names[0]!r}, nor any other")
        raise UnsupportedError("shelf has nothing to build, copy images to it with skopeo")

    def _find(self, reference: Reference) -> Layout:
        layout = Layout(f"{self._registry}/{reference.repository}")
        if not layout.exists():
            raise NotFoundError(f"no image {reference} on the shelf {self._registry}")
        return layout

    def _repositories(self) -> Iterator[ImageEntry]:
        for directory, names, present in os.walk(self._registry):
            if "index.json" not in present:
                continue
            names.clear()
            layout, repository = Layout(directory), os.path.relpath(directory, self._registry)
            for tag in {found.name or "latest" for found in layout.manifests()}:
                with suppress(CmanagerError):
                    yield ImageEntry(f"{repository}:{tag}", _image(layout, Reference(repository, tag)))


def _image(layout: Layout, reference: Reference) -> Image:
    chosen = choose(layout, reference)
    manifest = documents.manifest(documents.read_json(document(layout, chosen), chosen.digest), chosen.digest)
    id = manifest.config.digest
    config = documents.configuration(documents.read_json(document(layout, manifest.config), id), id)
    return compose(chosen.digest, manifest, config, tuple(layout.path(layer.digest) for layer in manifest.layers))


def _shelf(context: Context, options: Options) -> Shelf:
    return Shelf(context.state_dir, options.registry)


@hookimpl
def cmanager_images() -> list[Provider]:
    return [Provider("shelf", _shelf, options=Options)]
