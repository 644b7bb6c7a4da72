"""Images mine: what lies in a directory as OCI image layouts, one for each name, as `skopeo copy` makes them."""

from __future__ import annotations

from attrs import frozen

from cmanager import hookimpl
from cmanager.errors import NotFoundError
from cmanager.model import Image, ImageEntry, Progress, Provider, Reference
from cmanager.model.imagestore import ImageStore, Layout


@frozen
class Options:
    """registry: str, the directory; NAME/index.json and so on are below it."""

    registry: str = "/var/lib/mine"


class MineImages:
    """See `cmanager.seams.Images`. Images from elsewhere are another `cmanager.model.imagestore.Repository`."""

    def __init__(self, state_dir: str, options: Options) -> None:
        self._registry = options.registry
        self._store = ImageStore(state_dir, self._find)

    def pull(self, reference: Reference, progress: Progress) -> Image:
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

    def _find(self, reference: Reference) -> Layout:
        layout = Layout(f"{self._registry}/{reference.repository}")
        if not layout.exists():
            raise NotFoundError(f"no image {reference} in {self._registry}, copy it there: skopeo copy … oci:{layout}")
        return layout


@hookimpl
def cmanager_images() -> list[Provider]:
    """One provider, `mine`."""
    return [Provider("mine", lambda context, options: MineImages(context.state_dir, options), options=Options)]
