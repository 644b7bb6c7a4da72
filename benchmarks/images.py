"""The same files for everybody: a small root file system, and an image of 280 MB."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from attrs import frozen

from .commands import Refused
from .place import Place

#: Where images are that were built before: the checkout's registry directory, and that of an installed cmanager.
REGISTRIES = (Path(__file__).parent.parent / "registry", Path("/var/lib/cmanager/registry"))
BUSYBOX, BIG = "busybox", "bench-big"
_SIZE, _FILES = 280_000_000, 10_000
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"


@frozen
class Image:
    """layout: an OCI image layout in a registry directory; layers: its tarballs, gzip; archive: the same as Docker
    saves images; about: what is in it."""

    layout: Path
    layers: tuple[Path, ...]
    archive: Path
    about: str


def registry(place: Place) -> Path:
    """The registry directory that cmanager pulls from here, made with busybox in it. Raises Refused for lack of it."""
    directory = place.disk / "registry"
    if not directory.exists():
        found = _built(BUSYBOX)
        if found is None:
            raise Refused("image busybox was not built, try: cmanager registry build busybox")
        shutil.copytree(found, directory / BUSYBOX)
    return directory


def busybox(place: Place) -> Path:
    """The root file system of busybox, as one tarball."""
    tarball = place.disk / "busybox.tar"
    if not tarball.exists():
        root = place.disk / "busybox-root"
        root.mkdir()
        unpack(_layers(registry(place) / BUSYBOX), root)
        subprocess.run(["tar", "-cf", str(tarball), "-C", str(root), "."], check=True)
    return tarball


def big(place: Place) -> Image:
    """The image that the recipe `debian` makes where it was built, else one of as many files with made-up content."""
    layout = registry(place) / BIG
    if not layout.exists():
        built = _built("debian")
        if built:
            shutil.copytree(built, layout)
        else:
            _make(layout)
    layers = _layers(layout)
    archive = place.disk / "big.tar"
    if not archive.exists():
        _save(layout, layers, archive)
    size = sum(path.stat().st_size for path in layers)
    what = "Debian" if _built("debian") else f"{_FILES} made-up files of {_SIZE // 10**6} MB"
    return Image(layout, layers, archive, f"{what}, {size / 1e6:.0f} MB as gzip")


def unpack(layers: tuple[Path, ...], root: Path) -> None:
    """What tar makes of them."""
    for layer in layers:
        subprocess.run(["tar", "-xzf", str(layer), "-C", str(root)], check=True)


def _built(name: str) -> Path | None:
    return next((path / name for path in REGISTRIES if (path / name / "index.json").is_file()), None)


def _layers(layout: Path) -> tuple[Path, ...]:
    manifest = _read(layout, json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])
    return tuple(_blob(layout, layer["digest"]) for layer in manifest["layers"])


def _read(layout: Path, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_blob(layout, digest).read_text())
    return found


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _save(layout: Path, layers: tuple[Path, ...], archive: Path) -> None:
    manifest = _read(layout, json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])
    config = _blob(layout, manifest["config"]["digest"])
    names = [f"{number}/layer.tar" for number, _ in enumerate(layers)]
    saved = [{"Config": "config.json", "RepoTags": [f"{BIG}:latest"], "Layers": names}]
    with tarfile.open(archive, "w") as tar:
        tar.add(config, "config.json")
        for layer, name in zip(layers, names, strict=True):
            tar.add(layer, name)
        content = json.dumps(saved).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))


def _make(layout: Path) -> None:
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    raw = layout / "layer.tar"
    _fill(raw)
    diff_id = _digest(raw)
    with open(layout / "layer.gz", "wb") as out:
        subprocess.run(["gzip", "-n", "-6", "-c", str(raw)], stdout=out, check=True)
    raw.unlink()
    layer = _digest(layout / "layer.gz")
    size = (layout / "layer.gz").stat().st_size
    (layout / "layer.gz").rename(blobs / layer)
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}
    config = _put(layout, {"architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"]}, "rootfs": rootfs})
    described = {"mediaType": _LAYER, "digest": f"sha256:{layer}", "size": size}
    manifest = _put(
        layout,
        {"schemaVersion": 2, "mediaType": _MANIFEST, "config": {"mediaType": _CONFIG, **config}, "layers": [described]},
    )
    tag = {"org.opencontainers.image.ref.name": "latest"}
    index = {"schemaVersion": 2, "manifests": [{"mediaType": _MANIFEST, **manifest, "annotations": tag}]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _put(layout: Path, document: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps(document).encode()
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(path: Path) -> None:
    """Sizes as a distribution has them, many small and a few large; nine bytes in ten are text, the rest noise."""
    dice = random.Random(1)
    words = [bytes(dice.choices(b"etaoinshrdlu", k=dice.randint(2, 10))) for _ in range(500)]
    text, noise = b" ".join(dice.choices(words, k=1_000_000)), dice.randbytes(4_000_000)
    weights = [dice.lognormvariate(0, 2) for _ in range(_FILES)]
    unit = _SIZE / sum(weights)
    with tarfile.open(path, "w") as tar:
        for directory in ("usr", *(f"usr/{number}" for number in range(_FILES // 100))):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for number, weight in enumerate(weights):
            size = int(weight * unit)
            entry = tarfile.TarInfo(f"usr/{number // 100}/{number}")
            entry.size, entry.mode = size, 0o644
            source = noise if dice.random() < 0.1 else text
            at = dice.randrange(len(source))
            tar.addfile(entry, io.BytesIO((source[at:] + source * (size // len(source) + 1))[:size]))
