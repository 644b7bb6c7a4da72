"""The conformance suite of the image seam, and what it needs: images made to order, and places to offer them.

    class TestMine(ImagesSuite):
        provider = "mine"

Images are offered in the directory `registry`, an OCI image layout for each repository, empty at first. A provider is
told of it by its option `registry`; one that hears of it by another option overrides `configure`, one that pulls by
another protocol overrides `make` and serves it. Nothing needs root.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve, field, frozen

from ..errors import CmanagerError, ConflictError, CorruptError, InvalidError, NotFoundError, UnsupportedError
from ..model import Image, PullEvent, Reference
from ..seams import Images
from .suite import Suite, steady

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
#: This machine in the words of the image specification.
ARCHITECTURE = _ARCHITECTURES.get(os.uname().machine, os.uname().machine)


@frozen
class Made:
    """An image to offer. top: descriptor of its manifest or index; blobs: every content by digest; id: of the
    configuration; layers: digests, the base first."""

    top: dict[str, Any]
    blobs: dict[str, bytes]
    id: str = ""
    layers: tuple[str, ...] = field(factory=tuple)

    @property
    def digest(self) -> str:
        """Of the manifest."""
        return str(self.top["digest"])

    def lying(self, digest: str, content: bytes) -> Made:
        """The same image with another content behind one digest."""
        return evolve(self, blobs={**self.blobs, digest: content})


def digest_of(content: bytes) -> str:
    """`sha256:…` of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """What refers to a content; `more` are further keys, or other values for these."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def encoded(data: Any) -> bytes:
    """A JSON document; bytes are taken for one already."""
    return data if isinstance(data, bytes) else json.dumps(data).encode()


def image_of(*tars: bytes, config: Any = None, manifest: Any = None, **execution: Any) -> Made:
    """An image of these uncompressed layers. execution: the "config" of its configuration, such as Cmd=["sh"].

    config, manifest: called with the honest document, they return the one to use.
    """
    blobs = {digest_of(blob): blob for blob in (gzip.compress(tar, 1, mtime=0) for tar in tars)}
    packed = [gzip.compress(tar, 1, mtime=0) for tar in tars]
    honest: dict[str, Any] = {
        "created": "2024-01-01T00:00:00Z",
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": execution,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
    }
    written = encoded(config(honest) if config else honest)
    listed = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(written, CONFIG),
        "layers": [descriptor(blob, GZIP) for blob in packed],
    }
    top = encoded(manifest(listed) if manifest else listed)
    blobs |= {digest_of(written): written, digest_of(top): top}
    layers = tuple(digest_of(blob) for blob in packed)
    return Made(descriptor(top, MANIFEST), blobs, digest_of(written), layers)


def index_of(*platforms: tuple[str, Made]) -> Made:
    """An index that names images by architecture."""
    entries = [{**made.top, "platform": {"os": "linux", "architecture": name}} for name, made in platforms]
    content = encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    blobs = {digest: blob for _, made in platforms for digest, blob in made.blobs.items()}
    return Made(descriptor(content, INDEX), {**blobs, digest_of(content): content})


def offer(registry: Path, name: str, made: Made) -> Made:
    """Put an image into the layout of its repository as NAME:TAG, taking the tag from what had it; returns it."""
    reference = Reference.parse(name)
    place = registry / reference.repository
    (place / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    for digest, content in made.blobs.items():
        (place / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(content)
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    index = place / "index.json"
    listed = json.loads(index.read_text())["manifests"] if index.exists() else []
    key = "org.opencontainers.image.ref.name"
    listed = [entry for entry in listed if entry["annotations"][key] != reference.tag]
    listed.append({**made.top, "annotations": {key: reference.tag}})
    index.write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}))
    return made


def unseen(event: PullEvent) -> None:
    """Progress that nobody looks at."""
    del event


def pulled(provider: Images, name: str) -> Image:
    """`pull` without a look at its progress."""
    return provider.pull(Reference.parse(name), unseen)


def names(provider: Images) -> list[str]:
    """Every name that the provider lists."""
    return sorted(entry.reference for entry in provider.entries())


def together(count: int, action: Callable[[int], Any]) -> list[Any]:
    """What `action` returns in so many forked processes that run at once; True where it raised nothing."""
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                action(number)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children]


class Offered(Suite):
    """What the suites of the seam share: where images are offered."""

    seam = "image"
    ability: ClassVar[type] = Images

    def configure(self, place: Path) -> dict[str, Any]:
        """The option `registry` names the directory; it is `registry` in `place`."""
        return {"registry": f"{place}/registry", **self.options}

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Where the provider keeps everything, beside what is offered to it."""
        (tmp_path / "provider/registry").mkdir(parents=True)
        return tmp_path / "provider"

    @pytest.fixture
    def registry(self, place: Path) -> Path:
        """Where images are offered."""
        return place / "registry"


class ImagesSuite(Offered):
    """Every promise of `cmanager.seams.Images`, checked."""

    def test_it_is_an_image_store(self, provider: Images) -> None:
        assert isinstance(provider, Images), "a method of cmanager.seams.Images is missing"
        assert provider.entries() == (), "a new provider has no images"

    # -- pull and resolve --------------------------------------------------------------------------------------------

    def test_a_pulled_image_is_what_was_offered(self, provider: Images, registry: Path) -> None:
        made = offer(
            registry,
            "box",
            image_of(
                b"base",
                b"upper",
                Entrypoint=["/bin/e"],
                Cmd=["a", ""],
                Env=["A=b", "U=ü"],
                User="1:2",
                WorkingDir="/w",
                StopSignal="SIGINT",
                ExposedPorts={"80/tcp": {}},
                Volumes={"/v": {}},
                Labels={"l": "1"},
                Healthcheck={"Test": ["NONE"]},
            ),
        )
        image = pulled(provider, "box")
        assert (image.digest, image.id) == (made.digest, made.id)
        assert (image.architecture, image.os, image.created) == (ARCHITECTURE, "linux", "2024-01-01T00:00:00Z")
        assert [layer.digest for layer in image.layers] == list(made.layers)
        assert [layer.diff_id for layer in image.layers] == [digest_of(b"base"), digest_of(b"upper")]
        assert [gzip.decompress(Path(layer.path).read_bytes()) for layer in image.layers] == [b"base", b"upper"]
        assert [layer.size for layer in image.layers] == [len(made.blobs[digest]) for digest in made.layers]
        config = image.config
        assert (config.entrypoint, config.cmd, config.env) == (("/bin/e",), ("a", ""), ("A=b", "U=ü"))
        assert (config.user, config.working_dir, config.stop_signal) == ("1:2", "/w", "SIGINT")
        assert (config.exposed_ports, config.volumes) == (("80/tcp",), ("/v",))
        assert (config.labels, config.healthcheck) == ({"l": "1"}, {"Test": ["NONE"]})

    def test_a_configuration_may_say_nothing(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(config=lambda honest: {**honest, "config": None}))
        image = pulled(provider, "box")
        assert image.layers == ()
        assert image.config.cmd == ()

    def test_resolve_finds_it_by_name_digest_and_id(self, provider: Images, registry: Path) -> None:
        made = offer(registry, "team/box:1.0", image_of(b"x"))
        image = pulled(provider, "team/box:1.0")
        for word in (
            "team/box:1.0",
            made.digest,
            f"team/box@{made.digest}",
            made.id,
            made.id.removeprefix("sha256:"),
            made.id.removeprefix("sha256:")[:12],
        ):
            assert provider.resolve(word) == image, word

    def test_a_name_without_a_tag_means_latest(self, provider: Images, registry: Path) -> None:
        offer(registry, "box:latest", image_of(b"x"))
        image = pulled(provider, "box")
        assert provider.resolve("box:latest") == provider.resolve("box") == image
        with pytest.raises(NotFoundError):
            provider.resolve("box:other")

    def test_a_name_may_carry_the_host_of_a_registry(self, provider: Images, registry: Path) -> None:
        offer(registry, "localhost:5000/box", image_of(b"x"))
        image = pulled(provider, "localhost:5000/box")
        assert provider.resolve("localhost:5000/box") == image

    def test_a_pull_by_digest_gets_that_image_and_is_found_under_its_name(
        self, provider: Images, registry: Path
    ) -> None:
        old = offer(registry, "box:old", image_of(b"old"))
        offer(registry, "box:latest", image_of(b"new"))
        name = f"box@{old.digest}"
        assert pulled(provider, name).digest == old.digest
        assert provider.resolve(name).digest == old.digest
        assert provider.collect(frozenset()) == 0, "it has a name"

    def test_a_digest_wins_over_the_tag_beside_it(self, provider: Images, registry: Path) -> None:
        old = offer(registry, "box:old", image_of(b"old"))
        new = offer(registry, "box:latest", image_of(b"new"))
        pulled(provider, "box:latest")
        assert pulled(provider, f"box:latest@{old.digest}").digest == old.digest
        assert provider.resolve(f"box:latest@{old.digest}").digest == old.digest
        assert provider.resolve("box:latest").digest == new.digest

    def test_resolve_knows_nothing_that_was_not_pulled(self, provider: Images, registry: Path) -> None:
        made = offer(registry, "box", image_of(b"x"))
        for word in ("box", made.digest, made.id, "0" * 12):
            with pytest.raises(NotFoundError):
                provider.resolve(word)

    @pytest.mark.parametrize("word", ["", "UPPER", "../box", "a b", "box@sha256:12", "box:", "x" * 300, "/abs"])
    def test_resolve_refuses_what_is_no_name(self, provider: Images, word: str) -> None:
        with pytest.raises(InvalidError):
            provider.resolve(word)

    def test_an_ambiguous_id_is_refused(self, provider: Images, registry: Path) -> None:
        for number in range(17):
            offer(registry, f"box:{number}", image_of(b"%d" % number))
        ids = [pulled(provider, f"box:{number}").id.removeprefix("sha256:") for number in range(17)]
        twice = next(id[0] for id in ids if sum(other[0] == id[0] for other in ids) > 1)
        with pytest.raises(InvalidError):
            provider.resolve(twice)

    def test_what_no_registry_has_is_not_found(self, provider: Images, registry: Path) -> None:
        offer(registry, "box:1.0", image_of(b"x"))
        for name in ("other", "box:2.0", f"box@{digest_of(b'')}"):
            with pytest.raises(NotFoundError, match=name):
                pulled(provider, name)
        assert provider.entries() == ()

    def test_the_image_for_this_machine_is_chosen(self, provider: Images, registry: Path) -> None:
        ours = image_of(b"ours")
        offer(registry, "box", index_of(("s390x", image_of(b"theirs")), (ARCHITECTURE, ours)))
        assert pulled(provider, "box").digest == ours.digest

    def test_an_image_for_other_machines_alone_is_refused(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", index_of(("s390x", image_of(b"theirs"))))
        with pytest.raises(UnsupportedError, match=ARCHITECTURE):
            pulled(provider, "box")
        assert provider.entries() == ()

    def test_a_new_image_takes_the_name_and_leaves_the_old_one_nameless(self, provider: Images, registry: Path) -> None:
        old = offer(registry, "box", image_of(b"old"))
        pulled(provider, "box")
        new = offer(registry, "box", image_of(b"new"))
        assert pulled(provider, "box").digest == new.digest
        assert provider.resolve("box").digest == new.digest
        assert {entry.reference: entry.image.digest for entry in provider.entries()} == {
            "box:latest": new.digest,
            "": old.digest,
        }

    def test_blobs_that_are_here_are_not_fetched_again(self, provider: Images, registry: Path) -> None:
        base = offer(registry, "base", image_of(b"shared"))
        pulled(provider, "base")
        made = image_of(b"shared", b"own")
        del made.blobs[base.layers[0]]
        offer(registry, "box", made)
        seen: list[PullEvent] = []
        image = provider.pull(Reference.parse("box"), seen.append)
        assert len(image.layers) == 2
        assert [event.action for event in seen if event.action in ("complete", "exists")] == ["exists", "complete"]

    def test_progress_tells_of_every_layer_up_to_its_size(self, provider: Images, registry: Path) -> None:
        made = offer(registry, "box", image_of(os.urandom(3 << 20), b"small"))
        seen: list[PullEvent] = []
        provider.pull(Reference.parse("box"), seen.append)
        sizes = [len(made.blobs[digest]) for digest in made.layers]
        assert [event.total for event in seen if event.action == "complete"] == sizes
        assert all(0 <= event.done <= event.total for event in seen if event.action == "downloading")
        assert {event.action for event in seen} <= {"waiting", "downloading", "verifying", "complete", "status"}

    # -- lies --------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("part", ["manifest", "configuration", "base", "upper"])
    @pytest.mark.parametrize(
        "lie",
        [
            lambda content: bytes([content[0] ^ 1]) + content[1:],
            lambda content: content[:-1],
            lambda content: content * 2,
        ],
        ids=["changed", "cut", "longer"],
    )
    def test_a_blob_that_lies_is_refused_and_nothing_is_named(
        self, provider: Images, registry: Path, part: str, lie: Callable[[bytes], bytes]
    ) -> None:
        made = image_of(b"base", b"upper")
        digest = dict(zip(("base", "upper"), made.layers, strict=True)) | {
            "manifest": made.digest,
            "configuration": made.id,
        }
        bad = digest[part]
        offer(registry, "box", made.lying(bad, lie(made.blobs[bad])))
        with pytest.raises(CorruptError, match=bad):
            pulled(provider, "box")
        assert provider.entries() == ()
        with pytest.raises(NotFoundError):
            provider.resolve(made.digest)
        offer(registry, "box", made)
        assert pulled(provider, "box").digest == made.digest, "the truth is taken afterwards"

    def test_a_failed_pull_leaves_the_name_where_it_was(self, provider: Images, registry: Path) -> None:
        old = offer(registry, "box", image_of(b"old"))
        pulled(provider, "box")
        made = image_of(b"new")
        offer(registry, "box", made.lying(made.layers[0], b"?"))
        with pytest.raises(CorruptError):
            pulled(provider, "box")
        assert provider.resolve("box").digest == old.digest

    def test_a_layer_without_a_diff_id_is_refused(self, provider: Images, registry: Path) -> None:
        def short(honest: dict[str, Any]) -> dict[str, Any]:
            return {**honest, "rootfs": {"type": "layers", "diff_ids": honest["rootfs"]["diff_ids"][:1]}}

        offer(registry, "box", image_of(b"base", b"upper", config=short))
        with pytest.raises(CorruptError):
            pulled(provider, "box")
        assert provider.entries() == ()

    # -- names -------------------------------------------------------------------------------------------------------

    def test_entries_lists_every_name_newest_first(self, provider: Images, registry: Path) -> None:
        def dated(year: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
            return lambda honest: {**honest, "created": f"{year}-01-01T00:00:00Z"}

        for name, year in (("old", 2001), ("new", 2021), ("middle", 2011)):
            offer(registry, name, image_of(b"x", config=dated(year)))
            pulled(provider, name)
        provider.tag("middle", Reference.parse("alias:1"))
        assert [entry.reference for entry in provider.entries()] == [
            "new:latest",
            "alias:1",
            "middle:latest",
            "old:latest",
        ]

    def test_a_tag_is_another_name_of_the_same_image(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(b"x"))
        image = pulled(provider, "box")
        provider.tag("box", Reference.parse("team/other:2"))
        assert provider.resolve("team/other:2") == image
        provider.tag(image.id, Reference.parse("third"))
        assert names(provider) == ["box:latest", "team/other:2", "third:latest"]

    def test_a_tag_takes_the_name_from_who_had_it(self, provider: Images, registry: Path) -> None:
        offer(registry, "one", image_of(b"1"))
        offer(registry, "two", image_of(b"2"))
        one, two = pulled(provider, "one"), pulled(provider, "two")
        provider.tag("one", Reference.parse("two"))
        assert provider.resolve("two") == one
        assert provider.resolve(two.digest) == two
        assert names(provider) == ["", "one:latest", "two:latest"]

    def test_tag_needs_a_stored_image(self, provider: Images) -> None:
        with pytest.raises(NotFoundError):
            provider.tag("nothing", Reference.parse("box"))
        assert provider.entries() == ()

    def test_removing_one_of_two_names_keeps_the_image(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(b"x"))
        image = pulled(provider, "box")
        provider.tag("box", Reference.parse("other"))
        assert provider.remove("box", frozenset({image.digest})) == ("Untagged: box:latest",)
        assert provider.resolve("other") == image
        assert Path(image.layers[0].path).exists()

    def test_removing_the_last_name_removes_image_and_blobs(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(b"x"))
        image = pulled(provider, "box")
        lines = provider.remove("box", frozenset())
        assert lines == ("Untagged: box:latest", f"Deleted: {image.id}")
        assert provider.entries() == ()
        assert not Path(image.layers[0].path).exists()
        for word in ("box", image.digest, image.id):
            with pytest.raises(NotFoundError):
                provider.remove(word, frozenset())

    def test_removing_an_image_keeps_what_others_share_with_it(self, provider: Images, registry: Path) -> None:
        offer(registry, "base", image_of(b"shared"))
        offer(registry, "box", image_of(b"shared", b"own"))
        base, box = pulled(provider, "base"), pulled(provider, "box")
        provider.remove("box", frozenset())
        assert [Path(layer.path).exists() for layer in box.layers] == [True, False]
        assert provider.resolve("base") == base

    def test_an_image_in_use_keeps_its_last_name(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(b"x"))
        image = pulled(provider, "box")
        with pytest.raises(ConflictError, match="box"):
            provider.remove("box", frozenset({image.digest}))
        assert provider.resolve("box") == image

    def test_removing_one_image_leaves_the_nameless_alone(self, provider: Images, registry: Path) -> None:
        """A container that is not named in `in_use`, because force was used, may still need its image."""
        offer(registry, "box", image_of(b"old"))
        old = pulled(provider, "box")
        offer(registry, "box", image_of(b"new"))
        pulled(provider, "box")
        provider.remove("box", frozenset())
        assert provider.resolve(old.digest) == old
        assert Path(old.layers[0].path).exists()

    def test_an_image_is_removed_by_its_id(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(b"old"))
        old = pulled(provider, "box")
        offer(registry, "box", image_of(b"new"))
        pulled(provider, "box")
        assert provider.remove(old.id, frozenset()) == (f"Deleted: {old.id}",)
        assert names(provider) == ["box:latest"]

    def test_a_nameless_image_can_be_named_again(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(b"old"))
        old = pulled(provider, "box")
        offer(registry, "box", image_of(b"new"))
        pulled(provider, "box")
        provider.collect(frozenset({old.digest}))
        provider.tag(old.digest, Reference.parse("kept"))
        assert provider.collect(frozenset()) == 0
        assert provider.resolve("kept") == old
        assert provider.remove("kept", frozenset()) == ("Untagged: kept:latest", f"Deleted: {old.id}")

    # -- collect -----------------------------------------------------------------------------------------------------

    def test_collect_removes_what_has_neither_name_nor_user(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(b"old", b"shared"))
        old = pulled(provider, "box")
        offer(registry, "box", image_of(b"new", b"shared"))
        new = pulled(provider, "box")
        assert provider.collect(frozenset({old.digest})) == 0
        assert provider.resolve(old.digest) == old
        freed = provider.collect(frozenset())
        assert freed >= old.layers[0].size
        assert provider.collect(frozenset()) == 0
        assert [Path(layer.path).exists() for layer in old.layers] == [False, True]
        assert provider.resolve("box") == new
        with pytest.raises(NotFoundError):
            provider.resolve(old.digest)

    def test_collect_removes_what_failed_pulls_left(self, provider: Images, registry: Path) -> None:
        made = image_of(b"good", b"bad")
        offer(registry, "box", made.lying(made.layers[1], b"?"))
        with pytest.raises(CorruptError):
            pulled(provider, "box")
        provider.collect(frozenset())
        assert provider.collect(frozenset()) == 0
        assert provider.entries() == ()

    def test_collect_knows_no_such_image_in_use(self, provider: Images) -> None:
        assert provider.collect(frozenset({digest_of(b"unknown")})) == 0

    def test_collect_keeps_what_a_running_pull_has_fetched(self, provider: Images, registry: Path, place: Path) -> None:
        offer(registry, "box", image_of(b"1", b"2", b"3"))
        problems, other = [], self.make(place)

        def collecting(event: PullEvent) -> None:
            # By another instance and thread, as it would be by another process: this one is inside the pull.
            def collect() -> None:
                try:
                    other.collect(frozenset())
                except CmanagerError as error:
                    problems.append(error)

            if event.action == "complete":
                thread = threading.Thread(target=collect)
                thread.start()
                thread.join()

        image = provider.pull(Reference.parse("box"), collecting)
        assert problems == []
        assert all(Path(layer.path).exists() for layer in image.layers)

    def test_nothing_is_held_for_images_that_are_gone(self, provider: Images, registry: Path) -> None:
        offer(registry, "box", image_of(b"base", b"upper"))

        def live(number: int) -> None:
            pulled(provider, "box")
            provider.resolve("box")
            provider.entries()
            provider.remove("box", frozenset())
            provider.collect(frozenset())

        steady(live)

    # -- many at once ------------------------------------------------------------------------------------------------

    def test_many_processes_pull_one_image(self, provider: Images, registry: Path) -> None:
        made = offer(registry, "box", image_of(os.urandom(1 << 20), b"small"))
        assert all(together(8, lambda _: pulled(provider, "box")))
        self._whole(provider, made)

    def test_many_threads_pull_one_image(self, provider: Images, registry: Path) -> None:
        made = offer(registry, "box", image_of(os.urandom(1 << 20), b"small"))
        failed: list[BaseException] = []

        def pull() -> None:
            try:
                pulled(provider, "box")
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=pull) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        self._whole(provider, made)

    def test_no_name_is_lost_between_processes(self, provider: Images, registry: Path) -> None:
        for number in range(8):
            offer(registry, f"box:{number}", image_of(b"%d" % number))

        def work(number: int) -> None:
            pulled(provider, f"box:{number}")
            provider.tag(f"box:{number}", Reference.parse(f"alias:{number}"))
            provider.collect(frozenset())

        assert all(together(8, work))
        assert names(provider) == sorted(f"{name}:{number}" for name in ("box", "alias") for number in range(8))

    def _whole(self, provider: Images, made: Made) -> None:
        image = provider.resolve("box")
        assert {digest_of(Path(layer.path).read_bytes()) for layer in image.layers} == set(made.layers)
        assert provider.collect(frozenset()) == 0
