"""The local registry directory: an OCI image layout per repository."""

from __future__ import annotations

import os
from contextlib import suppress

from cmanager.errors import CorruptError, HostError, NotFoundError, UnsupportedError
from cmanager.model import ImageEntry, Layer, Reference
from cmanager.model.image import Image

from . import documents
from .documents import Configuration, Descriptor, Manifest
from .layout import Layout

_LATEST = "latest"


class RegistryDirectory:
    """directory: REPOSITORY/index.json and so on below it; recipes: directory of what can be built into it."""

    def __init__(self, directory: str, recipes: str) -> None:
        self.directory, self.recipes = directory, recipes

    def layout(self, reference: Reference) -> Layout:
        """The repository of a reference, or NotFoundError that says where was looked and what can be done."""
        layout = Layout(f"{self.directory}/{reference.repository}")
        if not layout.exists():
            raise NotFoundError(self._nowhere(reference))
        return layout

    def choose(self, layout: Layout, reference: Reference) -> Descriptor:
        """The manifest for this machine behind a tag or a digest."""
        entries = layout.manifests()
        if reference.digest:
            # Who gives the digest of an image for another machine means it.
            named = _by_digest(layout, entries, reference.digest)
        else:
            named = tuple(entry for entry in entries if entry.name == reference.tag)
            if not named and reference.tag == _LATEST:
                # What other tools copy here without a tag: they, too, take it to be the one image there is.
                named = tuple(entry for entry in entries if not entry.name)
        if not named:
            tags = ", ".join(sorted({entry.name or _LATEST for entry in entries})) or "no image"
            raise NotFoundError(f"no image {reference} in {layout.directory}, it has {tags}")
        chosen = named[0] if reference.digest else documents.for_this_machine(named, str(reference))
        return _settle(layout, chosen, str(reference))

    def entries(self) -> tuple[ImageEntry, ...]:
        """Every image for this machine by its names; what cannot be read is left out, pulling it tells why."""
        found = []
        for directory, names, present in os.walk(self.directory):
            if "index.json" not in present:
                names[:] = [name for name in names if not name.startswith(".")]
                continue
            names.clear()
            layout, repository = Layout(directory), os.path.relpath(directory, self.directory)
            with suppress(CorruptError, HostError):
                for tag in sorted({entry.name or _LATEST for entry in layout.manifests()}):
                    with suppress(CorruptError, HostError, NotFoundError, UnsupportedError):
                        found.append(
                            ImageEntry(f"{repository}:{tag}", _image(layout, Reference(repository, tag), self))
                        )
        return tuple(sorted(found, key=lambda entry: entry.reference))

    def _nowhere(self, reference: Reference) -> str:
        text = f"no image {reference} in the registry directory {self.directory}"
        name = reference.repository
        if os.path.exists(f"{self.recipes}/{name}.toml"):
            return f"{text}, try: cmanager registry build {name}"
        import difflib

        known = {entry.removesuffix(".toml") for entry in (*_names(self.directory), *_names(self.recipes))}
        near = difflib.get_close_matches(name, sorted(known), 3) or [
            other for other in sorted(known) if other == name.rpartition("/")[2]
        ]
        hint = f"did you mean {' or '.join(repr(other) for other in near)}" if near else "see: cmanager registry ls"
        return f"{text}, {hint}"


def agree(manifest: Manifest, config: Configuration, digest: str) -> None:
    """CorruptError when an image does not have a diff id for each layer."""
    if len(config.diff_ids) != len(manifest.layers):
        raise CorruptError(f"{digest} has {len(manifest.layers)} layers, its configuration {len(config.diff_ids)}")


def compose(digest: str, manifest: Manifest, config: Configuration, paths: tuple[str, ...]) -> Image:
    """The value that other seams see; paths: of the layers, in their order."""
    agree(manifest, config, digest)
    layers = tuple(
        Layer(layer.digest, diff_id, layer.media_type, layer.size, path)
        for layer, diff_id, path in zip(manifest.layers, config.diff_ids, paths, strict=True)
    )
    return Image(
        digest, manifest.config.digest, config.execution, layers, config.architecture, config.os, config.created
    )


def _image(layout: Layout, reference: Reference, registry: RegistryDirectory) -> Image:
    chosen = registry.choose(layout, reference)
    manifest = documents.manifest(documents.read_json(layout.document(chosen), chosen.digest), chosen.digest)
    id = manifest.config.digest
    config = documents.configuration(documents.read_json(layout.document(manifest.config), id), id)
    return compose(chosen.digest, manifest, config, tuple(layout.path(layer.digest) for layer in manifest.layers))


def _settle(layout: Layout, chosen: Descriptor, what: str) -> Descriptor:
    """Follow indexes to the manifest for this machine: they may name indexes, though not without end."""
    for _ in range(3):
        data = documents.read_json(layout.document(chosen), chosen.digest)
        if not documents.is_index(data, chosen.media_type):
            return chosen
        chosen = documents.for_this_machine(documents.index(data, chosen.digest), what)
    raise CorruptError(f"{what}: its index is nested too deeply")


def _by_digest(layout: Layout, entries: tuple[Descriptor, ...], digest: str) -> tuple[Descriptor, ...]:
    """The entry with this digest, in index.json or in an index that it names."""
    for entry in entries:
        if entry.digest == digest:
            return (entry,)
    for entry in entries:
        if entry.media_type in documents.INDEXES:
            data = documents.read_json(layout.document(entry), entry.digest)
            for inner in documents.index(data, entry.digest):
                if inner.digest == digest:
                    return (inner,)
    return ()


def _names(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if not name.startswith(".")]
    except OSError:
        return []
