"""docker, with a daemon of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from attrs import frozen

from .. import images
from ..commands import Command, run, seconds
from ..images import Image
from ..place import Place
from . import quiet, said, stamp_of, which
from .dockerlike import DockerLike

_PATIENCE = 60


@frozen
class Docker(DockerLike):
    """daemon: its own."""

    daemon: subprocess.Popen[bytes]
    name: ClassVar[str] = "docker"

    @classmethod
    @contextmanager
    def open(cls, place: Place) -> Iterator[Docker]:
        """Start the daemon, import the image; end it."""
        programs = which("docker"), which("dockerd")
        socket, data = f"unix://{place.memory}/docker.sock", place.disk / "docker"
        flags = ("--host", socket, "--data-root", str(data), "--exec-root", f"{place.memory}/docker")
        limits = (
            "--default-ulimit",
            "nofile=1024:1024",
        )  # its own are more than root may give without CAP_SYS_RESOURCE
        log = place.disk / "dockerd.log"
        with open(log, "wb") as file:
            daemon = subprocess.Popen(
                [programs[1], *flags, *limits, "--pidfile", f"{place.memory}/docker.pid"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        docker = cls((programs[0], "--host", socket), programs, daemon)
        try:
            docker._wait(log.read_text)
            quiet(*docker.base, "import", str(images.busybox(place)), images.BUSYBOX)
            yield docker
            docker.clear()
        finally:
            daemon.terminate()
            try:
                daemon.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def version(self) -> str:
        asked = "{{.Client.Version}} with daemon {{.Server.Version}}"
        return said(*self.base, "version", "--format", asked)

    def stamp(self) -> object:
        return stamp_of(*self.programs), self.daemon.poll() is None

    def fetchers(self, image: Image) -> Mapping[str, Callable[[], float]]:
        def load() -> float:
            try:
                return seconds(Command((*self.base, "load", "-q", "-i", str(image.archive)), says=None))
            finally:
                quiet(*self.base, "rmi", "-f", images.BIG, check=False)

        return {" load": load}

    def clear(self) -> None:
        """Remove every container."""
        self.remove(run(Command((*self.base, "ps", "-aq"), says=None)).split())

    def _wait(self, log: Callable[[], str]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while subprocess.run([*self.base, "version"], check=False, capture_output=True).returncode:
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise FileNotFoundError(f"dockerd does not start: {(log().strip().splitlines() or ['no word'])[-1]}")
            time.sleep(0.1)
