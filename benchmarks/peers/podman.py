"""podman through runc, with a storage of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import frozen

from .. import images
from ..commands import Command, run, seconds
from ..images import Image
from ..place import Place
from . import BRIDGE, NONE, SLEEP, quiet, said, stamp_of, which

#: Its own are more than root may give without CAP_SYS_RESOURCE.
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@frozen
class Podman:
    """base: the words that lead it to its storage."""

    base: tuple[str, ...]
    programs: tuple[str, ...]
    name: str = "podman"
    networks: tuple[str, ...] = (BRIDGE, NONE)

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

    def run(self, network: str, words: Sequence[str], says: str = "") -> Command:
        return Command((*self.base, "run", "--rm", *_LIMITS, *_network(network), images.BUSYBOX, *words), says=says)

    def start(self, network: str, name: str) -> Command:
        words = ("run", "-d", "--name", name, *_LIMITS, *_network(network), images.BUSYBOX, *SLEEP)
        return Command((*self.base, *words), says=None)

    def exec(self, name: str, words: Sequence[str]) -> Command:
        return Command((*self.base, "exec", name, *words))

    def listing(self, count: int) -> Command:
        return Command((*self.base, "ps"), says=rf"(.*\n){{{count + 1}}}")

    def inspect(self, name: str) -> Command:
        return Command((*self.base, "inspect", name), says=rf"(?s).*{name}.*")

    def remove(self, names: Sequence[str]) -> None:
        if names:
            run(Command((*self.base, "rm", "-f", "-t", "0", *names), says=None))

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


def _network(network: str) -> tuple[str, ...]:
    return () if network == BRIDGE else ("--network", network)
