"""The image seam: the suite over the built-in provider, and what that promises beyond it."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmanager.errors import CmanagerError, CorruptError, HostError, NotFoundError, UnsupportedError
from cmanager.linux.mounts import Mount
from cmanager.model import Context, PullEvent, Reference
from cmanager.seams import Images, Registry
from cmanager.testing.extend import ImportSuite, PushSuite, RegistrySuite
from cmanager.testing.images import (
    INDEX,
    MANIFEST,
    ImagesSuite,
    Made,
    descriptor,
    digest_of,
    encoded,
    image_of,
    index_of,
    names,
    offer,
    pulled,
    unseen,
)
from cmanager.testing.storage import inside
from cmanager_layers import Options, cmanager_images


def make(state: Path, registry: Path | str = "", *, shipped: Path | str = "/nowhere", root: Path | str = "") -> Any:
    """The provider as the core makes it."""
    (offered,) = cmanager_images()
    context = Context(str(state), str(state / "run"), str(root or state), str(shipped))
    assert offered.options is Options
    return offered.factory(context, Options(registry=str(registry)))


class TestLayers(ImagesSuite):
    provider = "layers"


class TestLayersImports(ImportSuite):
    provider = "layers"


class TestLayersPushes(PushSuite):
    provider = "layers"


class TestLayersBuilds(RegistrySuite):
    provider = "layers"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    place = tmp_path / "registry"
    place.mkdir()
    return place


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def images(state: Path, registry: Path) -> Any:
    return make(state, registry)


def stored(state: Path) -> set[str]:
    """Every blob that is stored, and whatever is on its way."""
    return {path.name for path in (state / "blobs").rglob("*") if not path.is_dir()}


def test_it_offers_both_protocols(images: Any) -> None:
    assert isinstance(images, Images)
    assert isinstance(images, Registry)


# -- where the registry is ------------------------------------------------------------------------------------------


def test_a_checkout_is_its_own_registry(tmp_path: Path, state: Path) -> None:
    shipped = tmp_path / "checkout"
    (shipped / "registry").mkdir(parents=True)
    (shipped / "pyproject.toml").touch()
    made = offer(shipped / "registry", "box", image_of(b"x"))
    assert pulled(make(state, shipped=shipped), "box").digest == made.digest


def test_an_installed_cmanager_keeps_its_registry_below_its_root(tmp_path: Path, state: Path) -> None:
    made = offer(tmp_path / "root/registry", "box", image_of(b"x"))
    assert pulled(make(state, root=tmp_path / "root"), "box").digest == made.digest


# -- what is on disk ------------------------------------------------------------------------------------------------


def test_nobody_else_may_read_the_store(images: Any, state: Path, registry: Path) -> None:
    old = os.umask(0)
    try:
        offer(registry, "box", image_of(b"x"))
        pulled(images, "box")
    finally:
        os.umask(old)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (state, *state.rglob("*"))}
    assert {modes[path] for path in modes if not path.is_dir()} == {0o600}
    assert modes[state] == 0o700


def test_a_pull_leaves_nothing_but_its_blobs(images: Any, state: Path, registry: Path) -> None:
    made = offer(registry, "box", image_of(b"1", b"2"))
    pulled(images, "box")
    assert stored(state) == {digest.removeprefix("sha256:") for digest in made.blobs}


def test_a_failed_pull_leaves_verified_blobs_at_most(images: Any, state: Path, registry: Path) -> None:
    made = image_of(b"1", b"2")
    offer(registry, "box", made.lying(made.layers[1], b"?"))
    with pytest.raises(CorruptError):
        pulled(images, "box")
    honest = {digest.removeprefix("sha256:") for digest in made.blobs} - {made.layers[1].removeprefix("sha256:")}
    assert stored(state) <= honest


def test_a_killed_pull_is_taken_up_again_and_cleaned_up(images: Any, state: Path, registry: Path) -> None:
    made = offer(registry, "box", image_of(b"1", os.urandom(5 << 20)))
    child = os.fork()
    if child == 0:

        def stop(event: PullEvent) -> None:
            if event.action == "downloading" and event.total > 1 << 20:
                os.kill(os.getpid(), signal.SIGKILL)

        images.pull(Reference.parse("box"), stop)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert images.entries() == ()
    left = {path.stat().st_size for path in (state / "blobs/incoming").iterdir()}
    assert left
    assert pulled(images, "box").digest == made.digest
    assert images.collect(frozenset()) == sum(left)
    assert stored(state) == {digest.removeprefix("sha256:") for digest in made.blobs}


def test_collect_waits_for_no_pull_of_another_process(images: Any, registry: Path) -> None:
    offer(registry, "box", image_of(b"old"))
    old = pulled(images, "box")
    offer(registry, "box", image_of(b"new"))
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        images.pull(Reference.parse("box"), lambda event: (os.write(go, b".") and time.sleep(60)) or None)
        os._exit(0)
    try:
        os.read(ready, 1)
        assert images.collect(frozenset()) == 0
        assert images.resolve("box") == old
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(go)


@pytest.mark.parametrize("which", ["manifest", "id"])
def test_a_pull_repairs_documents_that_have_rotted(images: Any, state: Path, registry: Path, which: str) -> None:
    made = offer(registry, "box", image_of(b"x"))
    pulled(images, "box")
    digest = made.digest if which == "manifest" else made.id
    path = state / "blobs/sha256" / digest.removeprefix("sha256:")
    path.write_bytes(b"?" * path.stat().st_size)
    with pytest.raises(CorruptError, match=digest):
        images.resolve("box")
    assert images.entries() == ()
    assert images.collect(frozenset()) >= 0
    assert images.resolve(pulled(images, "box").id).digest == made.digest


def test_a_layer_that_was_deleted_is_fetched_again(images: Any, registry: Path) -> None:
    offer(registry, "box", image_of(b"x"))
    (layer,) = pulled(images, "box").layers
    os.unlink(layer.path)
    pulled(images, "box")
    assert gzip.decompress(Path(layer.path).read_bytes()) == b"x"


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"schema": 2}', b'{"schema": 1, "tags": {"a": "b"}}'])
def test_a_catalogue_that_is_none_is_named(images: Any, state: Path, registry: Path, content: bytes) -> None:
    offer(registry, "box", image_of(b"x"))
    state.mkdir()
    (state / "images.json").write_bytes(content)
    for action in (lambda: images.resolve("box"), images.entries, lambda: pulled(images, "box")):
        with pytest.raises(CorruptError, match=r"images\.json"):
            action()
    assert (state / "images.json").read_bytes() == content


def test_a_state_directory_that_is_a_file_is_named(images: Any, state: Path, registry: Path) -> None:
    offer(registry, "box", image_of(b"x"))
    state.write_text("")
    with pytest.raises(HostError, match="state"):
        pulled(images, "box")


@pytest.mark.root
def test_a_full_disk_is_named_and_leaves_the_names_alone(tmp_path: Path, registry: Path) -> None:
    offer(registry, "small", image_of(b"x"))
    offer(registry, "box", image_of(os.urandom(4 << 20)))

    def fill(place: str) -> Any:
        images = make(Path(place, "state"), registry)
        pulled(images, "small")
        try:
            pulled(images, "box")
        except HostError as error:
            return [error.errno, names(images)]
        return []

    disk = (Mount("tmpfs", "tmpfs", "/", ("size=1m",)),)
    assert inside(disk, tmp_path / "disk", fill) == [errno.ENOSPC, ["small:latest"]]


# -- hostile layouts ------------------------------------------------------------------------------------------------

_CONTROL = "\x1b[31mred"
DEEP = b'{"a":' * 100 + b"1" + b"}" * 100
VERY_DEEP = b'{"a":' * 200_000


def in_manifest(**changes: Any) -> Callable[[], Made]:
    return lambda: image_of(b"x", manifest=lambda honest: {**honest, **changes})


def in_config(**changes: Any) -> Callable[[], Made]:
    return lambda: image_of(b"x", config=lambda honest: {**honest, **changes})


def in_layer(**changes: Any) -> Callable[[], Made]:
    return lambda: image_of(b"x", manifest=lambda honest: {**honest, "layers": [{**honest["layers"][0], **changes}]})


def as_top(content: bytes, media_type: str = MANIFEST) -> Callable[[], Made]:
    return lambda: Made(descriptor(content, media_type), {digest_of(content): content})


def listing_one(**changes: Any) -> bytes:
    return encoded({"schemaVersion": 2, "manifests": [{**image_of().top, **changes}]})


def nested(depth: int) -> Made:
    made = image_of(b"x")
    for _ in range(depth):
        content = encoded({"schemaVersion": 2, "manifests": [made.top]})
        made = Made(descriptor(content, INDEX), {**made.blobs, digest_of(content): content})
    return made


HOSTILE: dict[str, Callable[[], Made]] = {
    "manifest that is no JSON": as_top(b"{"),
    "manifest that is no text": as_top(b"\xff\xfe"),
    "manifest that is a list": as_top(b"[]"),
    "manifest that is deep": as_top(DEEP),
    "manifest that is very deep": as_top(VERY_DEEP),
    "manifest that is large": as_top(b" " * (5 << 20)),
    "manifest and index at once": in_manifest(manifests=[]),
    "manifest of the first schema": in_manifest(schemaVersion=1),
    "manifest of another media type": in_manifest(mediaType="application/vnd.example+json"),
    "manifest without layers": in_manifest(layers=None),
    "manifest without configuration": in_manifest(config=None),
    "configuration of an artifact": in_manifest(
        config=descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
    ),
    "index that has no end": lambda: nested(9),
    "layer digest that is a path": in_layer(digest="sha256:../../../../etc/passwd"),
    "layer digest in capitals": in_layer(digest="sha256:" + "A" * 64),
    "layer digest of another kind": in_layer(digest="md5:" + "0" * 32),
    "layer digest that is a number": in_layer(digest=1),
    "layer size below nothing": in_layer(size=-1),
    "layer size that is true": in_layer(size=True),
    "layer size that is text": in_layer(size="1"),
    "layer size beyond numbers": in_layer(size=10**30),
    "layer that is encrypted": in_layer(mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
    "layer that is no archive": in_layer(mediaType="text/html"),
    "layer type with an escape": in_layer(mediaType=_CONTROL),
    "layer that is missing": in_layer(digest=digest_of(b"nowhere")),
    "annotations that are a list": in_layer(annotations=["x"]),
    "configuration that is no JSON": lambda: image_of(b"x", config=lambda honest: b"{"),
    "configuration that is deep": lambda: image_of(b"x", config=lambda honest: DEEP),
    "configuration without rootfs": in_config(rootfs=None),
    "diff id that is none": in_config(rootfs={"diff_ids": ["sha256:x"]}),
    "diff ids that are text": in_config(rootfs={"diff_ids": "sha256:x"}),
    "architecture with an escape": in_config(architecture=_CONTROL),
    "date with an escape": in_config(created=_CONTROL),
    "environment that is text": in_config(config={"Env": "A=b"}),
    "environment of numbers": in_config(config={"Env": [1]}),
    "environment with NUL": in_config(config={"Env": ["A=\0"]}),
    "environment with half a character": in_config(config={"Env": ["A=\ud800"]}),
    "command that is an object": in_config(config={"Cmd": {}}),
    "user that is a number": in_config(config={"User": 0}),
    "labels that are a list": in_config(config={"Labels": ["a"]}),
    "label that is an object": in_config(config={"Labels": {"a": {}}}),
    "volumes that are a list": in_config(config={"Volumes": ["/"]}),
    "healthcheck that is a list": in_config(config={"Healthcheck": ["x"]}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_image_is_refused_and_nothing_is_named(images: Any, registry: Path, kind: str) -> None:
    offer(registry, "box", HOSTILE[kind]())
    with pytest.raises((CorruptError, UnsupportedError, NotFoundError)) as caught:
        pulled(images, "box")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert images.entries() == ()
    assert images.repositories() == () or kind.startswith("layer"), "what cannot be pulled is not listed either"


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"manifests": {}}',
        b'{"manifests": [1]}',
        b'{"manifests": [{"digest": "sha256:.."}]}',
        json.dumps(
            {"manifests": [{**image_of().top, "annotations": {"org.opencontainers.image.ref.name": 1}}]}
        ).encode(),
        json.dumps(
            {"manifests": [{**image_of().top, "annotations": {"org.opencontainers.image.ref.name": _CONTROL}}]}
        ).encode(),
        json.dumps({"manifests": [{**image_of().top, "platform": {"os": _CONTROL}}]}).encode(),
        b" " * (5 << 20),
        DEEP,
    ],
    ids=["no JSON", "list", "no list", "number", "digest", "tag", "escape", "platform", "large", "deep"],
)
def test_a_hostile_index_is_refused_in_printable_words(images: Any, registry: Path, content: bytes) -> None:
    offer(registry, "box", image_of())
    offer(registry, "good", image_of())
    (registry / "box/index.json").write_bytes(content)
    with pytest.raises(CorruptError) as caught:
        pulled(images, "box")
    assert str(caught.value).isprintable()
    assert [entry.reference for entry in images.repositories()] == ["good:latest"], "the others are still listed"


def as_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("kind", [as_link, as_pipe, as_directory])
@pytest.mark.parametrize("part", ["digest", "id", "layer"])
def test_a_blob_must_be_a_regular_file(images: Any, registry: Path, kind: Callable[[Path], None], part: str) -> None:
    made = offer(registry, "box", image_of(b"x"))
    digest = {"digest": made.digest, "id": made.id, "layer": made.layers[0]}[part]
    kind(registry / "box/blobs/sha256" / digest.removeprefix("sha256:"))
    with pytest.raises(CorruptError, match=digest.removeprefix("sha256:")):
        pulled(images, "box")
    assert images.entries() == ()


def test_a_layout_cannot_lead_out_of_itself(images: Any, tmp_path: Path, registry: Path) -> None:
    offer(registry, "box", image_of(b"x"))
    (registry / "box/blobs").rename(tmp_path / "blobs")
    (registry / "box/blobs").symlink_to(tmp_path / "blobs")
    with pytest.raises(NotFoundError):
        pulled(images, "box")


def test_an_index_that_is_a_pipe_does_not_block(images: Any, registry: Path) -> None:
    offer(registry, "box", image_of(b"x"))
    as_pipe(registry / "box/index.json")
    with pytest.raises(CmanagerError, match=r"box"):
        pulled(images, "box")


# -- what people are told -------------------------------------------------------------------------------------------


def test_a_missing_image_names_the_place_and_the_nearest(images: Any, registry: Path) -> None:
    offer(registry, "busybox", image_of(b"x"))
    with pytest.raises(NotFoundError, match="did you mean 'busybox'") as caught:
        pulled(images, "busbox")
    assert str(registry) in str(caught.value)
    with pytest.raises(NotFoundError, match="did you mean 'busybox'"):
        pulled(images, "library/busybox")


def test_a_missing_image_that_can_be_built_names_the_command(tmp_path: Path, registry: Path, state: Path) -> None:
    (tmp_path / "shipped/registry").mkdir(parents=True)
    (tmp_path / "shipped/registry/box.toml").write_text("")
    with pytest.raises(NotFoundError, match="try: cmanager registry build box"):
        pulled(make(state, registry, shipped=tmp_path / "shipped"), "box")


def test_a_missing_tag_names_those_there_are(images: Any, registry: Path) -> None:
    offer(registry, "box:1.0", image_of(b"1"))
    offer(registry, "box:2.0", image_of(b"2"))
    with pytest.raises(NotFoundError, match=r"it has 1\.0, 2\.0"):
        pulled(images, "box")


# -- other people's layouts -----------------------------------------------------------------------------------------


def test_a_layout_without_a_tag_holds_the_latest(images: Any, registry: Path) -> None:
    made = offer(registry, "box", image_of(b"x"))
    (registry / "box/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [made.top]}))
    assert pulled(images, "box").digest == made.digest
    assert [entry.reference for entry in images.repositories()] == ["box:latest"]


def test_an_image_of_docker_is_taken(images: Any, registry: Path) -> None:
    docker = "application/vnd.docker."

    def manifest(honest: dict[str, Any]) -> dict[str, Any]:
        config = {**honest["config"], "mediaType": f"{docker}container.image.v1+json"}
        layers = [{**layer, "mediaType": f"{docker}image.rootfs.diff.tar.gzip"} for layer in honest["layers"]]
        media_type = f"{docker}distribution.manifest.v2+json"
        return {**honest, "mediaType": media_type, "config": config, "layers": layers}

    made = image_of(b"x", manifest=manifest)
    offer(registry, "box", Made({**made.top, "mediaType": f"{docker}distribution.manifest.v2+json"}, made.blobs))
    assert pulled(images, "box").digest == made.digest


def test_one_of_many_machines_is_found_by_its_own_digest(images: Any, registry: Path) -> None:
    theirs = image_of(b"theirs", config=lambda honest: {**honest, "architecture": "s390x"})
    offer(registry, "box", index_of(("s390x", theirs)))
    assert pulled(images, f"box@{theirs.digest}").architecture == "s390x"


def test_a_layer_that_comes_twice_is_fetched_once(images: Any, registry: Path) -> None:
    offer(registry, "box", image_of(b"x", b"x"))
    seen: list[PullEvent] = []
    image = images.pull(Reference.parse("box"), seen.append)
    assert len(image.layers) == 2
    assert [event.action for event in seen].count("complete") == 1


def test_repositories_shows_what_can_be_pulled(images: Any, registry: Path) -> None:
    made = offer(registry, "team/box:1", image_of(b"x"))
    (entry,) = images.repositories()
    assert (entry.reference, entry.image.digest) == ("team/box:1", made.digest)
    assert gzip.decompress(Path(entry.image.layers[0].path).read_bytes()) == b"x"
    assert images.entries() == ()


def test_an_empty_or_missing_registry_is_empty(tmp_path: Path, state: Path) -> None:
    images = make(state, tmp_path / "nowhere")
    assert images.repositories() == ()
    with pytest.raises(NotFoundError, match="nowhere"):
        pulled(images, "box")


@pytest.mark.skipif(not shutil.which("skopeo"), reason="needs skopeo to make an image that is not ours")
def test_what_skopeo_copies_here_is_taken(images: Any, tmp_path: Path, registry: Path) -> None:
    made = offer(tmp_path / "other", "box", image_of(b"x", Cmd=["sh"]))
    registry.joinpath("box").mkdir()
    source, target = f"oci:{tmp_path}/other/box:latest", f"oci:{registry}/box:copy"
    subprocess.run(["skopeo", "copy", "--insecure-policy", source, target], check=True, capture_output=True)
    assert pulled(images, "box:copy").id == made.id


def test_resolving_imports_nothing_heavy(images: Any, state: Path, registry: Path) -> None:
    offer(registry, "box", image_of(b"x", Cmd=["sh"]))
    images.pull(Reference.parse("box"), unseen)
    program = (
        "import sys; from cmanager_layers.store import LayerImages; "
        f"LayerImages({str(state)!r}, '', '').resolve('box'); "
        "print(*sorted({'hashlib', 'tarfile', 'gzip', 'tomli', 'subprocess', 'tempfile'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
