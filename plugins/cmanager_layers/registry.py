"""The local registry directory: an OCI image layout per repository."""

from __future__ import annotations

import os
from contextlib import suppress

from cmanager.errors import CorruptError, HostError, NotFoundError, UnsupportedError
from cmanager.model import Image, ImageEntry, Reference
from cmanager.model.imagestore import LATEST, Layout, choose, compose, document, documents


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
                for tag in sorted({entry.name or LATEST for entry in layout.manifests()}):
                    with suppress(CorruptError, HostError, NotFoundError, UnsupportedError):
                        found.append(ImageEntry(f"{repository}:{tag}", _image(layout, Reference(repository, tag))))
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


def _image(layout: Layout, reference: Reference) -> Image:
    chosen = choose(layout, reference)
    manifest = documents.manifest(documents.read_json(document(layout, chosen), chosen.digest), chosen.digest)
    id = manifest.config.digest
    config = documents.configuration(documents.read_json(document(layout, manifest.config), id), id)
    return compose(chosen.digest, manifest, config, tuple(layout.path(layer.digest) for layer in manifest.layers))


def _names(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if not name.startswith(".")]
    except OSError:
        return []
