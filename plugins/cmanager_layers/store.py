"""The image seam on the three parts: blobs, their catalogue, and the registry directory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from cmanager.errors import ConflictError, CorruptError, InvalidError, NotFoundError
from cmanager.linux import files
from cmanager.model import Image, ImageEntry, Layer, Progress, PullEvent, Reference

from . import documents
from .blobs import Blobs
from .catalogue import Catalogue, Names
from .documents import Descriptor, Manifest
from .layout import Layout

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{4,64}")
_SHORT = 12


class LayerImages:
    """Images of one state directory; pulls come from `registry`, a directory with an OCI image layout per repository.

    run_dir: for the lock that keeps pulls and `collect` apart; recipes: directory of the recipes that can be built.
    """

    def __init__(self, state_dir: str, run_dir: str, registry: str, recipes: str) -> None:
        self._run_dir, self._registry, self._recipes = run_dir, registry, recipes
        self._blobs = Blobs(f"{state_dir}/blobs")
        self._catalogue = Catalogue(state_dir)

    def pull(self, reference: Reference, progress: Progress) -> Image:
        """See `cmanager.seams.Images.pull`."""
        layout = Layout(f"{self._registry}/{reference.repository}")
        if not layout.exists():
            raise NotFoundError(self._nowhere(reference))
        with self._pulling():
            wanted = self._choose(layout, reference)
            progress(PullEvent("", "status", text=f"{reference}: pulling from {layout.directory}"))
            manifest = self._documents(layout, wanted)
            for layer in manifest.layers:
                progress(PullEvent(_short(layer.digest), "waiting", 0, layer.size))
            for layer in manifest.layers:
                self._fetch(layout, layer, progress)
            image = self._load(wanted.digest)
            with self._catalogue.changing() as names:
                names.images[image.digest] = image.id
                if reference.tag:
                    names.tags[_name(reference)] = image.digest
        return image

    def resolve(self, reference: str) -> Image:
        """See `cmanager.seams.Images.resolve`."""
        return self._load(self._find(self._catalogue.read(), reference))

    def entries(self) -> tuple[ImageEntry, ...]:
        """See `cmanager.seams.Images.entries`."""
        names = self._catalogue.read()
        found = []
        for digest in names.images:
            with suppress(NotFoundError, CorruptError):
                image = self._load(digest)
                found += [ImageEntry(name, image) for name in names.of(digest) or [""]]
        return tuple(sorted(found, key=lambda entry: entry.image.created, reverse=True))

    def tag(self, source: str, target: Reference) -> None:
        """See `cmanager.seams.Images.tag`."""
        if target.digest:
            raise InvalidError(f"{target} cannot be a name: it has a digest")
        with self._catalogue.changing() as names:
            names.tags[_name(target)] = self._find(names, source)

    def remove(self, reference: str, in_use: frozenset[str]) -> tuple[str, ...]:
        """See `cmanager.seams.Images.remove`."""
        with self._catalogue.changing() as names:
            digest = self._find(names, reference)
            named = names.of(digest)
            one = _tagged(names, reference)
            going = [one] if one else named
            last = set(going) == set(named)
            if last and digest in in_use:
                raise ConflictError(f"image {reference} is used by a container, remove that first or use -f")
            for name in going:
                del names.tags[name]
            lines = [f"Untagged: {name}" for name in going]
            if last:
                lines.append(f"Deleted: {names.images.pop(digest)}")
        if last:
            self.collect(in_use)
        return tuple(lines)

    def collect(self, in_use: frozenset[str]) -> int:
        """See `cmanager.seams.Images.collect`; while a pull runs nothing is removed."""
        os.makedirs(self._run_dir, mode=0o700, exist_ok=True)
        try:
            with files.locked(f"{self._run_dir}/pulling.lock", wait=False), self._catalogue.changing() as names:
                for digest in set(names.images) - set(names.tags.values()) - in_use:
                    del names.images[digest]
                return self._blobs.keep(self._needed(set(names.images) | in_use))
        except BlockingIOError:
            return 0

    def recipes(self) -> dict[str, str]:
        """See `cmanager.seams.Registry.recipes`."""
        from . import recipe

        return {name: found.about for name, found in recipe.load_all(self._recipes).items()}

    def repositories(self) -> tuple[ImageEntry, ...]:
        """See `cmanager.seams.Registry.repositories`."""
        found = []
        for directory, names, present in os.walk(self._registry):
            if "index.json" not in present:
                continue
            names.clear()
            layout, repository = Layout(directory), os.path.relpath(directory, self._registry)
            for entry in layout.manifests():
                image = _image(entry.digest, layout.read_blob, layout.path)
                found.append(ImageEntry(f"{repository}:{entry.name or 'latest'}", image))
        return tuple(sorted(found, key=lambda entry: entry.reference))

    def build(self, names: tuple[str, ...], progress: Progress) -> tuple[ImageEntry, ...]:
        """See `cmanager.seams.Registry.build`."""
        from . import build

        built = build.build(names, self._recipes, self._registry, progress)
        return tuple(entry for entry in self.repositories() if entry.reference in built)

    def _nowhere(self, reference: Reference) -> str:
        text = f"no image {reference} in the registry directory {self._registry}"
        name = reference.repository
        if os.path.exists(f"{self._recipes}/{name}.toml"):
            return f"{text}, try: cmanager registry build {name}"
        import difflib

        near = difflib.get_close_matches(name, [n.removesuffix(".toml") for n in _names(self._registry)], 1)
        return f"{text}, did you mean {near[0]!r}" if near else f"{text}, see: cmanager registry ls"

    def _pulling(self) -> AbstractContextManager[int]:
        os.makedirs(self._run_dir, mode=0o700, exist_ok=True)
        return files.locked(f"{self._run_dir}/pulling.lock", shared=True)

    def _choose(self, layout: Layout, reference: Reference) -> Descriptor:
        """The manifest for this machine behind a tag or a digest."""
        entries = layout.manifests()
        if reference.digest:
            named = tuple(entry for entry in entries if entry.digest == reference.digest)
        else:
            named = tuple(entry for entry in entries if entry.name == reference.tag)
        if not named:
            tags = ", ".join(sorted({entry.name for entry in entries if entry.name})) or "no tag"
            raise NotFoundError(f"no image {reference} in {layout.directory}, it has {tags}")
        chosen = documents.for_this_machine(named, str(reference))
        for _ in range(3):  # an index may name indexes, though not without end
            content = self._document(layout, chosen)
            data = documents.read_json(content, chosen.digest)
            if not documents.is_index(data, chosen.media_type):
                return chosen
            chosen = documents.for_this_machine(documents.index(data, chosen.digest), str(reference))
        raise CorruptError(f"{reference}: its index is nested too deeply")

    def _documents(self, layout: Layout, wanted: Descriptor) -> Manifest:
        """Store manifest and configuration, and check that they agree."""
        content = self._document(layout, wanted)
        manifest = documents.manifest(documents.read_json(content, wanted.digest), wanted.digest)
        config = self._document(layout, manifest.config)
        found = documents.configuration(documents.read_json(config, manifest.config.digest), manifest.config.digest)
        if len(found.diff_ids) != len(manifest.layers):
            raise CorruptError(
                f"{wanted.digest} has {len(manifest.layers)} layers, its configuration names {len(found.diff_ids)}"
            )
        return manifest

    def _document(self, layout: Layout, descriptor: Descriptor) -> bytes:
        if descriptor.size > documents.LIMIT:
            raise CorruptError(f"{descriptor.digest} is larger than {documents.LIMIT} bytes")
        self._add(layout, descriptor, lambda done: None)
        return self._blobs.read(descriptor.digest, documents.LIMIT)

    def _fetch(self, layout: Layout, layer: Descriptor, progress: Progress) -> None:
        item = _short(layer.digest)
        if self._blobs.has(layer.digest, layer.size):
            progress(PullEvent(item, "exists", layer.size, layer.size))
            return
        self._add(layout, layer, lambda done: progress(PullEvent(item, "downloading", done, layer.size)))
        progress(PullEvent(item, "complete", layer.size, layer.size))

    def _add(self, layout: Layout, descriptor: Descriptor, seen: Callable[[int], None]) -> None:
        if self._blobs.has(descriptor.digest, descriptor.size):
            return
        fd = layout.open_blob(descriptor.digest)
        try:
            self._blobs.add(fd, descriptor.digest, descriptor.size, seen)
        finally:
            os.close(fd)

    def _load(self, digest: str) -> Image:
        return _image(digest, lambda d: self._blobs.read(d.digest, documents.LIMIT), self._blobs.path)

    def _find(self, names: Names, text: str) -> str:
        """The manifest digest behind a name, a digest or an id."""
        if name := _tagged(names, text):
            return names.tags[name]
        digest = text.rpartition("@")[2]
        if digest in names.images:
            return digest
        if self._is_manifest(digest):
            return digest  # its last name is gone, a container holds it
        if _ID.fullmatch(text):
            wanted = text.removeprefix("sha256:")
            found = {m for m, id in names.images.items() if m[7:].startswith(wanted) or id[7:].startswith(wanted)}
            if len(found) == 1:
                return found.pop()
            if found:
                ids = ", ".join(sorted(names.images[digest][7:19] for digest in found))
                raise InvalidError(f"image id {text!r} is ambiguous: {ids}")
        else:
            Reference.parse(text)
        raise NotFoundError(f"no image {text!r} is stored here, see: cmanager images")

    def _is_manifest(self, digest: str) -> bool:
        try:
            self._load(digest)
        except (NotFoundError, CorruptError, InvalidError):
            return False
        return True

    def _needed(self, images: set[str]) -> set[str]:
        needed: set[str] = set()
        for digest in images:
            with suppress(NotFoundError):
                content = self._blobs.read(digest, documents.LIMIT)
                manifest = documents.manifest(documents.read_json(content, digest), digest)
                needed |= {digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)}
        return needed


def _image(digest: str, read: Callable[[Descriptor], bytes], path: Callable[[str], str]) -> Image:
    """The image behind a manifest digest; `read` gives documents, `path` the place of a layer."""
    content = read(Descriptor(digest, 0, ""))
    manifest = documents.manifest(documents.read_json(content, digest), digest)
    id = manifest.config.digest
    found = documents.configuration(documents.read_json(read(manifest.config), id), id)
    layers = tuple(
        Layer(layer.digest, diff_id, layer.media_type, layer.size, path(layer.digest))
        for layer, diff_id in zip(manifest.layers, found.diff_ids, strict=True)
    )
    return Image(digest, id, found.execution, layers, found.architecture, found.os, found.created)


def _tagged(names: Names, text: str) -> str:
    """The name in the catalogue that `text` means, "" when it is none."""
    if text in names.tags:
        return text
    return f"{text}:latest" if f"{text}:latest" in names.tags else ""


def _name(reference: Reference) -> str:
    return f"{reference.repository}:{reference.tag or 'latest'}"


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _short(digest: str) -> str:
    return digest[7 : 7 + _SHORT]
