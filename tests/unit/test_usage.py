"""What images share, and what of the disk could be had back."""

from __future__ import annotations

import attrs

from cmanager.engine.usage import DiskUsage, Size, VolumeUse, images
from cmanager.model import Container, Image, ImageConfig, ImageEntry, Layer, Providers, RunRequest, Status, Volume


def image(name: str, *layers: tuple[str, int]) -> Image:
    found = tuple(Layer(f"sha256:{layer}", f"sha256:{layer}", "tar", size, f"/{layer}") for layer, size in layers)
    return Image(f"digest-{name}", f"id-{name}", ImageConfig(), found)


def container(made_from: Image, state: str) -> Container:
    providers = Providers("i", "s", "n", "l", "r")
    request = RunRequest(image="x")
    found = Container("f" * 64, "box", 1.0, request, made_from.digest, made_from.id, ("sh",), providers)
    return attrs.evolve(found, status=Status(state=state))  # type: ignore[arg-type]


BASE = image("base", ("a", 100))
BOTH = image("both", ("a", 100), ("b", 10))
TWICE = image("twice", ("c", 1), ("c", 1))
ENTRIES = [ImageEntry("base:1", BASE), ImageEntry("both:1", BOTH), ImageEntry("both:2", BOTH), ImageEntry("", TWICE)]


def test_a_layer_of_two_images_is_shared_and_counted_once() -> None:
    base, both, twice = images(ENTRIES, [])
    assert (base.shared, base.unique, base.names) == (100, 0, ("base:1",))
    assert (both.shared, both.unique, both.names) == (100, 10, ("both:1", "both:2"))
    assert (twice.shared, twice.unique, twice.names) == (0, 1, ())
    assert DiskUsage((base, both, twice), ()).totals[0].size == 111


def test_what_containers_need_is_not_reclaimable() -> None:
    found = [container(BASE, "stopped"), container(BASE, "running")]
    sizes = tuple(zip(found, (Size(7, 107), Size(5, 105)), strict=True))
    total, written, _ = DiskUsage(images(ENTRIES, found), sizes).totals
    assert (total.total, total.active, total.size, total.reclaimable) == (3, 1, 111, 11)
    assert (written.total, written.active, written.size, written.reclaimable) == (2, 1, 12, 7)


def test_a_volume_that_nobody_uses_is_reclaimable() -> None:
    uses = (VolumeUse(Volume("kept", "", ""), 5, 2), VolumeUse(Volume("idle", "", ""), 3, 0))
    total = DiskUsage((), (), uses).totals[2]
    assert (total.kind, total.total, total.active, total.size, total.reclaimable) == ("Local Volumes", 2, 1, 8, 3)
