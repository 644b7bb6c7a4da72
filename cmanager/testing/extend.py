"""The conformance suites of the optional abilities of image stores: `Import`, `Push` and `Registry` of cmanager.seams.

    class TestMineImports(ImportSuite):
        provider = "mine"

    class TestMinePushes(PushSuite):
        provider = "mine"

    class TestMineBuilds(RegistrySuite):
        provider = "mine"

Where images are offered, and pushed to, is as in `cmanager.testing.images`.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from ..errors import CorruptError, InvalidError, NotFoundError
from ..model import Authorship, Image, ImageConfig, Reference
from ..seams import Import, Push, Registry
from .images import Offered, digest_of, image_of, names, offer, pulled, unseen

ABOUT = Authorship("2024-05-06T07:08:09Z", "sh -c true", "A. Author", "why")


class Based(Offered):
    """What both suites share: a stored image."""

    @pytest.fixture
    def base(self, provider: Any, registry: Path) -> Image:
        """A stored image."""
        execution: dict[str, Any] = {"Cmd": ["sh"], "Env": ["A=b"], "Labels": {"l": "1"}, "Shell": ["/bin/ash"]}
        offer(registry, "box", image_of(b"base", b"upper", **execution))
        return pulled(provider, "box")


class ImportSuite(Based):
    """Every promise of `cmanager.seams.Import`, checked."""

    ability = Import

    @pytest.fixture
    def layer(self, tmp_path: Path) -> Iterator[int]:
        """A descriptor of a layer that is not read from its beginning by itself."""
        path = tmp_path / "layer.tar"
        path.write_bytes(b"a new layer")
        with path.open("rb") as file:
            file.seek(5)
            yield file.fileno()

    def test_it_imports(self, provider: Any) -> None:
        """The provider has the method."""
        assert isinstance(provider, Import), "cmanager.seams.Import.extend is missing"

    def test_one_layer_more(self, provider: Any, base: Image, layer: int) -> None:
        """The new image has the layers of its base and the new one, and the given configuration."""
        config = evolve(base.config, cmd=("other",), env=("A=b", "C=d"), exposed_ports=("80/tcp",), labels={})
        image = provider.extend(base.digest, layer, config, ABOUT, Reference("mine", "v1"))
        assert image.layers[:-1] == base.layers
        assert image.layers[-1].diff_id == digest_of(b"a new layer")
        assert gzip.decompress(Path(image.layers[-1].path).read_bytes()) == b"a new layer"
        assert image.config == config
        assert image.created == ABOUT.created
        assert provider.resolve("mine:v1") == image
        assert provider.resolve("box") == base

    def test_equal_arguments_give_equal_digests(self, provider: Any, base: Image, layer: int) -> None:
        """Storing the same twice stores it once."""
        first = provider.extend(base.digest, layer, base.config, ABOUT, None)
        assert provider.extend(base.digest, layer, base.config, ABOUT, None) == first

    def test_without_a_name(self, provider: Any, base: Image, layer: int) -> None:
        """An image without a name is there until it is collected, and a container's use keeps it."""
        image = provider.extend(base.digest, layer, base.config, ABOUT, None)
        assert names(provider) == ["", "box:latest"]
        provider.collect(frozenset({image.digest}))
        assert provider.resolve(image.id) == image
        provider.collect(frozenset())
        assert names(provider) == ["box:latest"]

    def test_an_unknown_base(self, provider: Any, layer: int) -> None:
        """A base that is not stored is a NotFoundError."""
        with pytest.raises(NotFoundError):
            provider.extend(f"sha256:{'0' * 64}", layer, ImageConfig(), ABOUT, Reference("mine"))
        assert names(provider) == []

    def test_a_name_with_a_digest(self, provider: Any, base: Image, layer: int) -> None:
        """A digest is not given, it comes about."""
        with pytest.raises(InvalidError):
            provider.extend(base.digest, layer, base.config, ABOUT, Reference("mine", "", base.digest))

    def test_a_layer_that_would_be_a_bomb(self, provider: Any, base: Image, tmp_path: Path) -> None:
        """What every unpacking refuses is refused here, and nothing gets its name."""
        with (tmp_path / "zeros").open("w+b") as file:
            os.ftruncate(file.fileno(), 200 << 20)
            with pytest.raises(CorruptError, match="bomb"):
                provider.extend(base.digest, file.fileno(), base.config, ABOUT, Reference("mine"))
        assert names(provider) == ["box:latest"]


class PushSuite(Based):
    """Every promise of `cmanager.seams.Push`, checked."""

    ability = Push

    def test_it_pushes(self, provider: Any) -> None:
        """The provider has the method."""
        assert isinstance(provider, Push), "cmanager.seams.Push.push is missing"

    def test_pushed_and_pulled(self, provider: Any, base: Image, registry: Path) -> None:
        """A pushed image is what a pull finds, under its digest."""
        provider.tag("box", Reference("team/mine", "v1"))
        assert provider.push(Reference("team/mine", "v1"), unseen) == base.digest
        provider.remove("team/mine:v1", frozenset())
        assert pulled(provider, "team/mine:v1") == base, "what was pushed must be what is pulled"

    def test_a_tag_is_replaced(self, provider: Any, base: Image, registry: Path) -> None:
        """What a tag meant before a push it does not mean after it; other tags stay."""
        for tag in ("old", "v1"):
            provider.tag("box", Reference("mine", tag))
            provider.push(Reference("mine", tag), unseen)
        offer(registry, "other", image_of(b"another"))
        image = pulled(provider, "other")
        provider.tag("other", Reference("mine", "v1"))
        provider.push(Reference("mine", "v1"), unseen)
        for name, meant in (("mine:v1", image), ("mine:old", base)):
            provider.remove(name, frozenset())
            assert pulled(provider, name) == meant, f"{name} is another image than was pushed"

    def test_what_cannot_be_pushed(self, provider: Any, base: Image) -> None:
        """A name that is not stored, and one with a digest."""
        with pytest.raises(NotFoundError):
            provider.push(Reference("other"), unseen)
        with pytest.raises(InvalidError):
            provider.push(Reference("box", "", base.digest), unseen)


class RegistrySuite(Offered):
    """The promises of `cmanager.seams.Registry` that need no recipe which everyone has, checked."""

    ability = Registry

    def test_it_is_a_registry(self, provider: Any) -> None:
        """The provider has its methods."""
        assert isinstance(provider, Registry), "a method of cmanager.seams.Registry is missing"

    def test_recipes_have_a_name_and_a_line(self, provider: Any) -> None:
        for name, about in provider.recipes().items():
            Reference.parse(name)
            assert about, f"{name} needs a line about it"
            assert "\n" not in about, f"{name}: a list has one line for each"

    def test_what_the_directory_holds(self, provider: Any, registry: Path) -> None:
        """Every image by its name, with layers that can be read there; nothing is stored by looking."""
        assert provider.repositories() == (), "an empty directory holds nothing"
        made = offer(registry, "team/box:v1", image_of(b"base", b"upper"))
        (entry,) = provider.repositories()
        assert (entry.reference, entry.image.digest) == ("team/box:v1", made.digest)
        found = [gzip.decompress(Path(layer.path).read_bytes()) for layer in entry.image.layers]
        assert found == [b"base", b"upper"], "layer paths must lead into the directory"
        assert provider.entries() == (), "the registry directory is not the store"

    def test_what_has_no_recipe_cannot_be_built(self, provider: Any) -> None:
        with pytest.raises(NotFoundError, match="no-such-recipe"):
            provider.build(("no-such-recipe",), unseen)
        assert provider.repositories() == (), "a failed build must leave nothing"
