"""podman through runc, with a storage of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from attrs import frozen

from .. import images
from ..commands import Command, seconds
from ..images import Image
from ..place import Place
from . import quiet, said, stamp_of, which
from .dockerlike import DockerLike

#: Its own are more than root may give without CAP_SYS_RESOURCE.
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@frozen
class Podman(DockerLike):
    """As it is installed, with a storage of its own."""

    name: ClassVar[str] = "podman"
    limits: ClassVar[tuple[str, ...]] = _LIMITS
    at_once: ClassVar[tuple[str, ...]] = ("-f", "-t", "0")

    @classmethod
    @contextmanager
    def open(cls, place: Place) -> Iterator[Podman]:
        """Import the image; remove everything."""
        programs = which("podman"), which("conmon"), which("runc")
        directories = ("--root", str(place.disk / "podman"), "--runroot", f"{place.memory}/podman")
        podman = cls((programs[0], *directories, "--runtime", "runc"), programs)
        try:
            quiet(*podman.base, "import", str(images.busybox(place)), images.BUSYBOX)
            yield podman
        finally:
            quiet(*podman.base, "system", "reset", "--force", check=False)

    def version(self) -> str:
        return f"{said(self.programs[0], '--version')}, {said(self.programs[1], '--version').partition(' commit')[0]}"

    def stamp(self) -> object:
        return stamp_of(*self.programs)

    def fetchers(self, image: Image) -> Mapping[str, Callable[[], float]]:
        def fetch(*words: str) -> float:
            try:
                return seconds(Command((*self.base, *words), says=None))
            finally:
                said_ids = said(*self.base, "images", "-q", "--filter", f"reference=*{images.BIG}*")
                quiet(*self.base, "rmi", "-f", *said_ids.split(), check=False)

        return {
            " load": lambda: fetch("load", "-q", "-i", str(image.archive)),
            " pull": lambda: fetch("pull", "-q", f"oci:{image.layout}"),
        }
