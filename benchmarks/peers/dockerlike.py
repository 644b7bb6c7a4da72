"""What docker and podman have in common: the words of their commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from attrs import frozen

from .. import images
from ..commands import Command, run
from . import BRIDGE, NONE, SLEEP


@frozen
class DockerLike:
    """One who is typed like docker.

    base: the words that lead the command to its daemon or storage; programs: paths of what takes part; limits: options
    that each of its containers needs here; at_once: options of `rm` that make it wait for nobody.
    """

    base: tuple[str, ...]
    programs: tuple[str, ...]
    networks: ClassVar[tuple[str, ...]] = (BRIDGE, NONE)
    limits: ClassVar[tuple[str, ...]] = ()
    at_once: ClassVar[tuple[str, ...]] = ("-f",)

    def run(self, network: str, words: Sequence[str], says: str = "") -> Command:
        return Command((*self.base, "run", "--rm", *self._about(network), images.BUSYBOX, *words), says=says)

    def start(self, network: str, name: str) -> Command:
        words = ("run", "-d", "--name", name, *self._about(network), images.BUSYBOX, *SLEEP)
        return Command((*self.base, *words), says=None)

    def exec(self, name: str, words: Sequence[str]) -> Command:
        return Command((*self.base, "exec", name, *words))

    def listing(self, count: int) -> Command:
        return Command((*self.base, "ps"), says=rf"(.*\n){{{count + 1}}}")

    def inspect(self, name: str) -> Command:
        return Command((*self.base, "inspect", name), says=rf"(?s).*{name}.*")

    def remove(self, names: Sequence[str]) -> None:
        if names:
            run(Command((*self.base, "rm", *self.at_once, *names), says=None))

    def _about(self, network: str) -> tuple[str, ...]:
        return (*self.limits, *(() if network == BRIDGE else ("--network", network)))
