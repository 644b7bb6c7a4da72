"""`lxc-execute` on an unpacked root: namespaces and little else."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import frozen

from .. import images
from ..commands import Command
from ..place import Place
from . import NONE, quiet, said, stamp_of, which

_CONFIG = """\
lxc.rootfs.path = dir:{root}
lxc.net.0.type = empty
lxc.mount.auto = proc:mixed sys:ro
lxc.apparmor.profile = unconfined
lxc.console.path = none
lxc.tty.max = 0
lxc.pty.max = 0
"""


@frozen
class Lxc:
    """config: path of the configuration; numbers: for names that were never used."""

    program: str
    directory: str
    config: str
    numbers: Iterator[int]
    name: str = "lxc-execute"
    networks: tuple[str, ...] = (NONE,)

    @classmethod
    @contextmanager
    def open(cls, place: Place) -> Iterator[Lxc]:
        """Unpack the root file system."""
        program = which("lxc-execute")
        directory = place.disk / "lxc"
        (directory / "rootfs").mkdir(parents=True)
        quiet("tar", "-xf", str(images.busybox(place)), "-C", str(directory / "rootfs"))
        names = place.memory / "lxc"
        names.mkdir()
        config = directory / "config"
        config.write_text(_CONFIG.format(root=directory / "rootfs"))
        yield cls(program, str(names), str(config), itertools.count())

    def version(self) -> str:
        return said(self.program, "--version")

    def stamp(self) -> object:
        return stamp_of(self.program)

    def run(self, network: str, words: Sequence[str], says: str = "") -> Command:
        name = f"bench-{os.getpid()}-{next(self.numbers)}"
        options = ("--name", name, "--lxcpath", self.directory, "--rcfile", self.config)
        return Command((self.program, *options, "--", *words), says=says)
