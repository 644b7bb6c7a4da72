"""Those that take part: each says how it is asked for the same work.

ours.py cmanager, cold, warm and through each runtime; docker.py with a daemon of its own; podman.py; runc.py on ready
bundles; lxc.py. `open_all` finds those that are installed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attrs import frozen

from ..commands import Command, Refused, run
from ..images import Image
from ..place import Place

BRIDGE, NONE, HOST = "bridge", "none", "host"
if TYPE_CHECKING:
    from .ours import Cmanager

#: What every container of a job runs: nothing, and nothing for long.
TRUE, SLEEP = ("/bin/true",), ("/bin/sleep", "1000000")


class Peer(Protocol):
    """Runs programs in containers that are gone again afterwards.

    name: as in the table; networks: those it can give, of BRIDGE and NONE.
    """

    @property
    def name(self) -> str: ...

    @property
    def networks(self) -> tuple[str, ...]: ...

    def version(self) -> str:
        """Of everything that takes part."""

    def stamp(self) -> object:
        """What is another as soon as another version would answer."""

    def run(self, network: str, words: Sequence[str], says: str = "") -> Command:
        """A container of its own for each command, with the same root file system and namespaces for everybody."""


@runtime_checkable
class Keeper(Peer, Protocol):
    """One whose containers can go on alone."""

    def start(self, network: str, name: str) -> Command:
        """One that sleeps; the command ends when that runs."""

    def exec(self, name: str, words: Sequence[str]) -> Command:
        """One more program in it."""

    def listing(self, count: int) -> Command:
        """All that run, of whom there are so many."""

    def inspect(self, name: str) -> Command:
        """All that is known of one."""

    def remove(self, names: Sequence[str]) -> None:
        """Running or not."""


@runtime_checkable
class Fetcher(Protocol):
    """One that fetches images and unpacks them, in one way or several."""

    @property
    def name(self) -> str: ...

    def fetchers(self, image: Image) -> Mapping[str, Callable[[], float]]:
        """By what is put behind the name: seconds of one fetch, after which all of it is removed again."""


@frozen
class Peers:
    """Those who are there; left_out: name to why not."""

    there: tuple[Peer, ...]
    left_out: dict[str, str]

    def named(self, name: str) -> Peer | None:
        return next((peer for peer in self.there if peer.name == name), None)

    @property
    def ours(self) -> Cmanager:
        """The one that all others are held against."""
        from .ours import Cmanager

        found = self.named("cmanager")
        assert isinstance(found, Cmanager), "it is always there"
        return found

    def stamp(self) -> dict[str, object]:
        return {peer.name: peer.stamp() for peer in self.there}

    def versions(self) -> dict[str, str]:
        """By name; the variants of cmanager are one program."""
        return {peer.name: peer.version() for peer in self.there if not peer.name.startswith("cmanager ")}


def open_all(place: Place, command: Sequence[str], stack: ExitStack) -> Peers:
    """Everybody, ready to run containers until the stack is unwound; each has shown that its containers are right.

    command: cmanager. Whoever is not installed or does other work is left out; Refused is raised for cmanager itself.
    """
    from .docker import Docker
    from .lxc import Lxc
    from .ours import Cmanager
    from .podman import Podman
    from .runc import Runc

    there: list[Peer] = [*stack.enter_context(Cmanager.open(place, command))]
    for ours in there:
        check(ours)
    left_out: dict[str, str] = {}
    others: dict[str, Callable[[Place], AbstractContextManager[Peer]]] = {
        "docker": Docker.open,
        "podman": Podman.open,
        "bare runc": Runc.open,
        "lxc-execute": Lxc.open,
    }
    for name, opened in others.items():
        try:
            peer = stack.enter_context(opened(place))
            check(peer)
            there.append(peer)
        except (FileNotFoundError, subprocess.CalledProcessError, Refused) as error:
            left_out[name] = str(error)
    return Peers(tuple(there), left_out)


def check(peer: Peer) -> None:
    """Raise Refused where a container of a peer has other links than its network says."""
    for network in peer.networks:
        inside = "(?=.*eth0:)" if network == BRIDGE else "(?!.*eth0:)"
        run(peer.run(network, ("/bin/cat", "/proc/net/dev"), rf"(?s){inside}(?=.*lo:).*"))


def which(name: str) -> str:
    """The path of a program; FileNotFoundError."""
    for directory in (*os.environ.get("PATH", "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"):
        if directory and os.access(path := f"{directory}/{name}", os.X_OK):
            return path
    raise FileNotFoundError(f"{name} is not installed")


def stamp_of(*paths: str) -> tuple[tuple[int, ...], ...]:
    """Of files: which, how large, and when they were written."""
    found = map(os.stat, paths)
    return tuple((at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns) for at in found)


def said(*words: str) -> str:
    """What a program prints in one line; CalledProcessError."""
    done = subprocess.run(words, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return " ".join(done.stdout.split())


def quiet(*words: str, check: bool = True) -> None:
    """Run something that is not measured; CalledProcessError, with what it said, when it fails."""
    done = subprocess.run(words, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise Refused(f"{' '.join(words)} exited with {done.returncode}: {done.stderr.strip()[-300:]}")
