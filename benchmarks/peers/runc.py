"""Bare `runc run` on ready bundles: no image, no network, no log; the floor that others build on."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from .. import images
from ..commands import Command
from ..place import Place
from . import NONE, SLEEP, quiet, said, stamp_of, which


@frozen
class Runc:
    """spec: what `runc spec` writes, with a root file system; numbers: for names that were never used."""

    program: str
    base: tuple[str, ...]
    bundles: Path
    spec: str
    numbers: Iterator[int]
    name: str = "bare runc"
    networks: tuple[str, ...] = (NONE,)

    @classmethod
    @contextmanager
    def open(cls, place: Place) -> Iterator[Runc]:
        """Unpack the root file system that all bundles share."""
        program = which("runc")
        bundles = place.disk / "runc"
        (bundles / "rootfs").mkdir(parents=True)
        quiet("tar", "-xf", str(images.busybox(place)), "-C", str(bundles / "rootfs"))
        quiet(program, "spec", "--bundle", str(bundles))
        config = json.loads((bundles / "config.json").read_text())
        config["process"] |= {"terminal": False, "rlimits": []}
        config["root"] = {"path": str(bundles / "rootfs"), "readonly": False}
        yield cls(program, (program, "--root", f"{place.memory}/runc"), bundles, json.dumps(config), itertools.count())

    def version(self) -> str:
        return said(self.program, "--version").partition(" commit")[0]

    def stamp(self) -> object:
        return stamp_of(self.program)

    def run(self, network: str, words: Sequence[str], says: str = "") -> Command:
        name = f"bench-{os.getpid()}-{next(self.numbers)}"
        return Command((*self.base, "run", "--bundle", self._bundle(words), name), says=says)

    def start(self, network: str, name: str) -> Command:
        return Command((*self.base, "run", "--detach", "--bundle", self._bundle(SLEEP), name))

    def exec(self, name: str, words: Sequence[str]) -> Command:
        return Command((*self.base, "exec", name, *words))

    def listing(self, count: int) -> Command:
        return Command((*self.base, "list"), says=rf"(.*\n){{{count + 1}}}")

    def inspect(self, name: str) -> Command:
        return Command((*self.base, "state", name), says=rf"(?s).*{name}.*")

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            quiet(*self.base, "delete", "--force", name)

    def _bundle(self, words: Sequence[str]) -> str:
        bundle = self.bundles / "-".join(words).replace("/", "_")
        if not bundle.exists():
            config = json.loads(self.spec)
            config["process"]["args"] = list(words)
            bundle.mkdir()
            (bundle / "config.json").write_text(json.dumps(config))
        return str(bundle)
