"""An image of 280 MB, from a directory on the same disk to files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial

from ..commands import Command, seconds
from ..images import Image, big
from ..measuring import Contestant, Rounds
from ..peers import Fetcher, which
from ..results import Row
from . import Bench, Job


def _fetch(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    image = big(bench.place)
    acts: dict[str, Callable[[], float]] = {"tar -xzf": partial(_tar, bench, image)}
    for peer in bench.variants():
        if isinstance(peer, Fetcher):
            acts |= {peer.name + way: act for way, act in peer.fetchers(image).items()}
    contestants = [Contestant(name, partial(_settled, act)) for name, act in acts.items()]
    return bench.measure(contestants), (image.about,)


def _settled(act: Callable[[], float]) -> float:
    os.sync()  # or one pays for what another has not written yet
    return act()


def _tar(bench: Bench, image: Image) -> float:
    root = bench.place.disk / "tar"
    root.mkdir()
    tar = which("tar")
    try:
        return sum(seconds(Command((tar, "-xzf", str(layer), "-C", str(root)))) for layer in image.layers)
    finally:
        shutil.rmtree(root)


JOBS = (Job("fetch", "fetch and unpack an image", "s", _fetch, Rounds(3)),)
