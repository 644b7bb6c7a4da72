"""The image seam on a store of blobs and the registry directory, with what can be made for and of them."""

from __future__ import annotations

from cmanager.errors import InvalidError
from cmanager.model import Authorship, Image, ImageConfig, ImageEntry, Progress, Reference
from cmanager.model.imagestore import ImageStore

from .registry import RegistryDirectory


class LayerImages:
    """Images of one state directory; pulls come from `registry`, a directory with an OCI image layout per repository.

    recipes: directory of the recipes that can be built into it.
    """

    def __init__(self, state_dir: str, registry: str, recipes: str) -> None:
        self._registry = RegistryDirectory(registry, recipes)
        self._store = ImageStore(state_dir, self._registry.layout)

    def pull(self, reference: Reference, progress: Progress) -> Image:
        """See `cmanager.seams.Images.pull`."""
        return self._store.pull(reference, progress)

    def resolve(self, reference: str) -> Image:
        """See `cmanager.seams.Images.resolve`."""
        return self._store.resolve(reference)

    def entries(self) -> tuple[ImageEntry, ...]:
        """See `cmanager.seams.Images.entries`."""
        return self._store.entries()

    def tag(self, source: str, target: Reference) -> None:
        """See `cmanager.seams.Images.tag`."""
        self._store.tag(source, target)

    def remove(self, reference: str, in_use: frozenset[str]) -> tuple[str, ...]:
        """See `cmanager.seams.Images.remove`."""
        return self._store.remove(reference, in_use)

    def collect(self, in_use: frozenset[str]) -> int:
        """See `cmanager.seams.Images.collect`."""
        return self._store.collect(in_use)

    def recipes(self) -> dict[str, str]:
        """See `cmanager.seams.Registry.recipes`."""
        from . import recipe

        return {name: found.about for name, found in recipe.load_all(self._registry.recipes).items()}

    def repositories(self) -> tuple[ImageEntry, ...]:
        """See `cmanager.seams.Registry.repositories`."""
        return self._registry.entries()

    def build(self, names: tuple[str, ...], progress: Progress) -> tuple[ImageEntry, ...]:
        """See `cmanager.seams.Registry.build`."""
        from . import build

        built = build.build(names, self._registry.recipes, self._registry.directory, progress)
        return tuple(entry for entry in self.repositories() if entry.reference in built)

    def extend(
        self, base: str, layer: int, config: ImageConfig, about: Authorship, reference: Reference | None
    ) -> Image:
        """See `cmanager.seams.Import.extend`."""
        from . import extend

        if reference is not None and reference.digest:
            raise InvalidError(f"{reference} cannot be a name: it has a digest")
        with self._store.adding():
            return self._store.adopt(extend.extend(self._store.blobs, base, layer, config, about), reference)

    def push(self, reference: Reference, progress: Progress) -> str:
        """See `cmanager.seams.Push.push`."""
        from . import push

        if reference.digest:
            raise InvalidError(f"{reference} cannot be pushed: give a name and a tag")
        # Like a pull it keeps blobs from being removed.
        with self._store.adding():
            image = self._store.resolve(str(reference))
            push.push(self._store.blobs, image, reference, self._registry.directory, progress)
        return image.digest
