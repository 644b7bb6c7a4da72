"""The image seam: find, verify, keep images."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..model.codec import Fd
from ..model.image import Authorship, Image, ImageConfig, ImageEntry, Progress, Reference


@runtime_checkable
class Images(Protocol):
    """A store of images, addressed by content.

    Everything it hands out has been verified: each blob against its digest and size, each diff id against the
    configuration. A blob appears under its final name only when it is whole and durable.
    """

    def pull(self, reference: Reference, progress: Progress) -> Image:
        """Fetch an image, tag it with `reference`, return it.

        Blobs that are here already are not fetched again. Raises NotFoundError when no registry has it (the text names
        where was looked), CorruptError when anything does not match its digest, HostError when the disk fails; then
        nothing has changed but verified blobs that may stay for the next try. Safe to call many times in parallel.
        """
        ...

    def resolve(self, reference: str) -> Image:
        """The stored image named by a reference, a digest, or an unambiguous prefix of its id.

        A pure look-up: no network, no change. Raises NotFoundError, or InvalidError for a bad or ambiguous name.
        """
        ...

    def entries(self) -> tuple[ImageEntry, ...]:
        """All images by all their names, newest first; an image without a name comes once with reference "".

        Costs one read per tag and per image.
        """
        ...

    def tag(self, source: str, target: Reference) -> None:
        """Give a stored image another name, taking it from whoever had it. Raises NotFoundError."""
        ...

    def remove(self, reference: str, in_use: frozenset[str]) -> tuple[str, ...]:
        """Remove one name, and with the last name the image and the blobs nobody else needs.

        in_use: manifest digests that containers refer to; such an image is not removed (ConflictError) while it would
        lose its last name. Returns lines such as "Untagged: …", "Deleted: …". Raises NotFoundError.
        """
        ...

    def collect(self, in_use: frozenset[str]) -> int:
        """Remove blobs that no name and no digest in `in_use` refers to, and what interrupted pulls left.

        Never removes what a pull that runs now has fetched. Returns the number of bytes freed.
        """
        ...


@runtime_checkable
class Registry(Protocol):
    """Optional: an image provider that can make images in a local registry directory from recipes."""

    def recipes(self) -> dict[str, str]:
        """Names of the images that can be built, each with one line about it."""
        ...

    def repositories(self) -> tuple[ImageEntry, ...]:
        """What the local registry directory holds; layer paths point into it."""
        ...

    def build(self, names: tuple[str, ...], progress: Progress) -> tuple[ImageEntry, ...]:
        """Build these recipes (all when empty) into the registry directory; building twice gives equal digests.

        Raises NotFoundError for an unknown recipe, naming the nearest; UnsupportedError when a tool is missing,
        naming the package. An image appears whole or not at all.
        """
        ...


@runtime_checkable
class Import(Protocol):
    """Optional: an image provider that can store an image made here."""

    def extend(
        self, base: str, layer: Fd, config: ImageConfig, about: Authorship, reference: Reference | None
    ) -> Image:
        """Store the image `base` with one more layer and another configuration, tag it, return it.

        base: manifest digest of a stored image; layer: descriptor of a regular file that holds the uncompressed tar,
        read from its beginning; it stays the caller's. config: replaces the base's execution parameters; what an
        ImageConfig does not know is kept. reference: the name it gets, taken from whoever had it, None for none: then
        `collect` removes it once no container uses it. Equal arguments give equal digests. Raises NotFoundError,
        CorruptError for a layer that would be refused as a bomb when it is unpacked, HostError; nothing is tagged then.
        """
        ...


@runtime_checkable
class Push(Protocol):
    """Optional: an image provider that can put stored images where `pull` finds them."""

    def push(self, reference: Reference, progress: Progress) -> str:
        """Copy the stored image called `reference` to its repository, under its tag; returns the manifest digest.

        What the tag meant there before is replaced in one step. Blobs that are there are not copied again. Raises
        NotFoundError, InvalidError for a name with a digest, CorruptError when a stored blob has rotted, HostError.
        """
        ...
