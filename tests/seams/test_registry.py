"""The registry directory of the built-in image provider: recipes, and what is built from them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmanager.errors import CmanagerError, InvalidError, NotFoundError, UnsupportedError
from cmanager.linux import syscalls
from cmanager.model import Context, ImageEntry, PullEvent, Reference
from cmanager.testing.images import image_of, offer, pulled, unseen
from cmanager_layers import Options, cmanager_images

RECIPE = """
about = "a small thing"
epoch = 1704067200

[config]
cmd = ["sh"]
env = ["A=b"]

[[layer]]
[layer.files]
"/etc/motd" = "hello"

[[layer]]
[layer.directories]
"/tmp" = "1777"
"/a/b/c" = "700"
"""


class Site:
    """A registry directory and recipes of the test's own."""

    def __init__(self, place: Path) -> None:
        self.registry, self.shipped, self.state = place / "registry", place / "shipped", place / "state"
        (self.shipped / "registry").mkdir(parents=True)

    @property
    def images(self) -> Any:
        (offered,) = cmanager_images()
        context = Context(str(self.state), str(self.state / "run"), str(self.state), str(self.shipped))
        return offered.factory(context, Options(registry=str(self.registry)))

    def recipe(self, name: str, text: str = RECIPE) -> Path:
        path = self.shipped / "registry" / f"{name}.toml"
        path.write_text(text)
        return path

    def build(self, *recipes: str) -> tuple[ImageEntry, ...]:
        built: tuple[ImageEntry, ...] = self.images.build(recipes, unseen)
        return built

    def files(self, name: str) -> dict[str, bytes]:
        """Everything in one repository."""
        place = self.registry / name
        return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def online(mirrors: int) -> Iterator[None]:
    """The network that has the package mirrors, for one test."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(mirrors, syscalls.CLONE_NEWNET)
        yield
    finally:
        syscalls.setns(here, syscalls.CLONE_NEWNET)
        os.close(here)


def members(entry: ImageEntry, number: int) -> dict[str, tarfile.TarInfo]:
    """What one layer holds, by path."""
    with tarfile.open(entry.image.layers[number].path) as tar:
        return {member.name: member for member in tar}


def content(entry: ImageEntry, number: int, name: str) -> bytes:
    with tarfile.open(entry.image.layers[number].path) as tar:
        found = tar.extractfile(name)
        assert found is not None
        return found.read()


# -- recipes --------------------------------------------------------------------------------------------------------


def test_the_shipped_recipes_are_known(checkout: Path, site: Site) -> None:
    site.shipped = checkout
    assert set(site.images.recipes()) >= {"busybox", "debian", "debian-python"}
    assert all(site.images.recipes().values()), "each with a line about it"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = [", "not TOML"),
        ("[[layer]]\nbusybox = true\n[confg]\n", "unknown key 'confg', did you mean 'config'"),
        ("[[layer]]\nbusybx = true\n", "unknown key 'busybx', did you mean 'busybox'"),
        ("[[layer]]\n[layer.debian]\nsiute = 'x'\n", "unknown key 'siute', did you mean 'suite'"),
        ("[config]\nwrkdir = '/'\n[[layer]]\n", "unknown key 'wrkdir', did you mean 'workdir'"),
        ("layer = 1\n", "layer must be a list"),
        ("about = 1\n[[layer]]\n", "about must be text"),
        ("epoch = true\n[[layer]]\n", "epoch must be a number"),
        ("epoch = '1'\n[[layer]]\n", "epoch must be a number"),
        ("layer = [1]\n", "a layer must be a table"),
        ("about = 'x'\n", "at least one"),
        ("[config]\ncmd = 'sh'\n[[layer]]\n", "cmd must be a list"),
        ("[config]\ncmd = [1]\n[[layer]]\n", "cmd must be a list of texts"),
        ("[config]\nenv = ['A']\n[[layer]]\n", "env 'A' is not NAME=VALUE"),
        ("[config]\nlabels = {a = 1}\n[[layer]]\n", "a must be text"),
        ("[[layer]]\n[layer.files]\n'/a' = 1\n", "/a must be text"),
        ("[[layer]]\n[layer.files]\n'a' = ''\n", "'a' must be an absolute path"),
        ("[[layer]]\n[layer.files]\n'/../a' = ''\n", "must be an absolute path"),
        ("[[layer]]\n[layer.directories]\n'/a' = '9'\n", "mode '9' of /a"),
        ("[[layer]]\n[layer.directories]\n'/a' = 755\n", "mode 755 of /a"),
        ("[[layer]]\n[layer.debian]\nsuite = '--hook=x'\n", "'--hook=x' is no name"),
        ("[[layer]]\n[layer.debian]\ninclude = ['a,b']\n", "'a,b' is no name"),
        ("[[layer]]\ncmanager = 1\n", "must be an absolute path"),
    ],
)
def test_a_mistake_in_a_recipe_names_file_and_remedy(site: Site, text: str, told: str) -> None:
    path = site.recipe("box", text)
    with pytest.raises(InvalidError) as caught:
        site.build("box")
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    assert not (site.registry / "box").exists()


def test_a_recipe_that_cannot_be_the_name_of_an_image_is_refused(site: Site) -> None:
    site.recipe("Not An Image")
    with pytest.raises(InvalidError, match="'Not An Image' cannot be the name of an image"):
        site.images.recipes()


def test_an_unknown_recipe_names_the_nearest(site: Site) -> None:
    site.recipe("box")
    with pytest.raises(NotFoundError, match=r"no recipe 'bx' in .*, did you mean 'box'"):
        site.build("bx")


# -- building -------------------------------------------------------------------------------------------------------


def test_what_is_built_can_be_pulled(site: Site) -> None:
    site.recipe("box")
    (entry,) = site.build("box")
    assert entry.reference == "box:latest"
    image = pulled(site.images, "box")
    assert image.digest == entry.image.digest
    assert (image.config.cmd, image.config.env, image.created) == (("sh",), ("A=b",), "2024-01-01T00:00:00Z")


def test_a_layer_holds_what_the_recipe_says_and_the_directories_around_it(site: Site) -> None:
    site.recipe("box")
    (entry,) = site.build("box")
    assert list(members(entry, 0)) == ["etc", "etc/motd"]
    assert content(entry, 0, "etc/motd") == b"hello"
    modes = {name: member.mode for name, member in members(entry, 1).items()}
    assert modes == {"a": 0o755, "a/b": 0o755, "a/b/c": 0o700, "tmp": 0o1777}
    for number in range(2):
        for member in members(entry, number).values():
            assert (member.uid, member.gid, member.mtime) == (0, 0, 1704067200)


def test_digests_and_diff_ids_are_those_of_the_bytes(site: Site) -> None:
    site.recipe("box")
    (entry,) = site.build("box")
    for layer in entry.image.layers:
        packed = Path(layer.path).read_bytes()
        assert layer.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
        assert layer.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(packed)).hexdigest()}"
        assert layer.size == len(packed)


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name, mask in (("one", 0o22), ("two", 0o77)):
        site = Site(tmp_path / name)
        site.recipe("box")
        old = os.umask(mask)
        try:
            site.build("box")
        finally:
            os.umask(old)
        found.append(site.files("box"))
    assert found[0] == found[1]


def test_all_recipes_are_built_when_none_is_named(site: Site) -> None:
    site.recipe("one")
    site.recipe("two")
    assert [entry.reference for entry in site.build()] == ["one:latest", "two:latest"]


def test_progress_tells_of_every_layer(site: Site) -> None:
    site.recipe("box")
    seen: list[PullEvent] = []
    site.images.build(("box",), seen.append)
    assert [(event.item, event.action) for event in seen] == [
        ("box layer 1 of 2", "building"),
        ("box layer 1 of 2", "complete"),
        ("box layer 2 of 2", "building"),
        ("box layer 2 of 2", "complete"),
    ]


def test_a_new_build_replaces_the_old_and_keeps_other_tags(site: Site) -> None:
    site.recipe("box")
    site.build("box")
    kept = offer(site.registry, "box:mine", image_of(b"x"))
    site.recipe("box", RECIPE.replace("hello", "bye"))
    (entry,) = site.build("box")
    assert content(entry, 0, "etc/motd") == b"bye"
    assert {e.reference for e in site.images.repositories()} == {"box:latest", "box:mine"}
    assert pulled(site.images, "box:mine").digest == kept.digest
    blobs = {path.name for path in (site.registry / "box/blobs/sha256").iterdir()}
    ours = {entry.image.digest, entry.image.id, *(layer.digest for layer in entry.image.layers)}
    assert blobs == {digest.removeprefix("sha256:") for digest in {*ours, *kept.blobs}}, "the old blobs are gone"


def test_a_pull_that_meets_a_new_build_gets_one_of_the_two(site: Site) -> None:
    site.recipe("box")
    site.build("box")
    site.recipe("box", RECIPE.replace("hello", "bye").replace("1777", "777"))
    built: list[ImageEntry] = []

    def building(event: PullEvent) -> None:
        if event.action == "waiting" and not built:
            built.extend(site.build("box"))

    image = site.images.pull(Reference.parse("box"), building)
    assert image.digest == built[0].image.digest
    assert site.images.resolve("box") == image


def test_a_build_that_fails_leaves_the_old_image(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.recipe("box")
    site.build("box")
    before = site.files("box")
    site.recipe("box", RECIPE + "[[layer]]\n[layer.debian]\nsuite = 'bookworm'\n")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnsupportedError):
        site.build("box")
    assert site.files("box") == before
    assert [path.name for path in (site.registry / ".building").iterdir()] == ["box.lock"]


def test_a_first_build_that_fails_leaves_no_repository(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.recipe("box", RECIPE + "[[layer]]\n[layer.debian]\nsuite = 'bookworm'\n")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnsupportedError):
        site.build("box")
    assert not (site.registry / "box").exists()


def test_what_a_killed_build_left_is_gone_after_the_next(site: Site) -> None:
    site.recipe("box")
    child = os.fork()
    if child == 0:

        def stop(event: PullEvent) -> None:
            if event.action == "complete":
                os.kill(os.getpid(), signal.SIGKILL)

        site.images.build(("box",), stop)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert site.images.repositories() == ()
    assert list((site.registry / ".building/box").iterdir())
    site.build("box")
    assert [path.name for path in (site.registry / ".building").iterdir()] == ["box.lock"]


def test_two_builders_do_not_meet(site: Site) -> None:
    site.recipe("box")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                site.build("box")
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert [entry.reference for entry in site.images.repositories()] == ["box:latest"]
    assert pulled(site.images, "box").config.cmd == ("sh",)


# -- this cmanager in an image --------------------------------------------------------------------------------------


def test_the_cmanager_layer_runs_alone(site: Site, tmp_path: Path) -> None:
    site.recipe("box", "[[layer]]\ncmanager = '/opt/cmanager'\n")
    (entry,) = site.build("box")
    (tmp_path / "tree").mkdir()
    subprocess.run(["tar", "-x", "-f", entry.image.layers[0].path, "-C", tmp_path / "tree"], check=True)
    place = tmp_path / "tree/opt/cmanager"
    assert not list(place.rglob("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-m", "cmanager", "--root", str(tmp_path / "root"), "registry", "ls"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(place), "CMANAGER_RUN_ROOT": str(tmp_path / "run")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "debian-python" in done.stdout


# -- what comes from outside ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "package"), [("busybox = true", "busybox"), ("[layer.debian]", "mmdebstrap")])
def test_a_missing_tool_names_its_package(
    site: Site, monkeypatch: pytest.MonkeyPatch, layer: str, package: str
) -> None:
    site.recipe("box", f"[[layer]]\n{layer}\n")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnsupportedError, match=f"install .*{package}|needs {package}, install"):
        site.build("box")


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(("layer", "tool"), [("busybox = true", "apt-get"), ("[layer.debian]", "mmdebstrap")])
def test_without_a_network_the_tool_is_quoted(site: Site, layer: str, tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"needs {tool}, which this host lacks")
    site.recipe("box", f"[[layer]]\n{layer}\n")
    with pytest.raises(CmanagerError, match=f"{tool} failed: .+") as caught:
        site.build("box")
    assert "\n" not in str(caught.value)
    assert site.images.repositories() == ()


@pytest.fixture
def busybox(checkout: Path, tmp_path: Path, online: None) -> list[Site]:
    """The shipped busybox, built twice."""
    if not (shutil.which("busybox") or shutil.which("apt-get")):
        pytest.skip("needs busybox or apt-get, which this host lacks")
    sites = [Site(tmp_path / "one"), Site(tmp_path / "two")]
    for site in sites:
        site.recipe("busybox", (checkout / "registry/busybox.toml").read_text())
        site.build("busybox")
    return sites


@pytest.mark.root
def test_busybox_is_the_same_each_time_and_whole(busybox: list[Site]) -> None:
    one, two = busybox
    assert one.files("busybox") == two.files("busybox")
    (entry,) = one.images.repositories()
    assert len(entry.image.layers) == 2
    program = members(entry, 0)
    assert program["bin/busybox"].mode == 0o755
    assert program["bin/sh"].linkname == "../bin/busybox"
    assert len([member for member in program.values() if member.issym()]) > 100
    assert {"etc/passwd", "etc/group", "tmp", "root", "home", "var"} <= set(members(entry, 1))
    assert content(entry, 1, "etc/passwd").startswith(b"root:x:0:0:")


@pytest.mark.root
def test_other_tools_take_busybox_for_an_image(busybox: list[Site], tmp_path: Path) -> None:
    place = busybox[0].registry / "busybox"
    (entry,) = busybox[0].images.repositories()
    missing = [tool for tool in ("skopeo", "umoci") if not shutil.which(tool)]
    if "skopeo" not in missing:
        told = json.loads(subprocess.check_output(["skopeo", "inspect", f"oci:{place}:latest"]))
        assert told["Digest"] == entry.image.digest
        assert told["Layers"] == [layer.digest for layer in entry.image.layers]
    if "umoci" not in missing:
        assert subprocess.check_output(["umoci", "ls", "--layout", place], text=True).split() == ["latest"]
        unpack = ["umoci", "unpack", "--image", f"{place}:latest", str(tmp_path / "bundle")]
        subprocess.run(unpack, check=True, capture_output=True)
        root = tmp_path / "bundle/rootfs"
        assert (root / "bin/sh").readlink() == Path("../bin/busybox")
        assert oct((root / "tmp").stat().st_mode) == "0o41777"
        said = subprocess.check_output([root / "bin/busybox", "echo", "hello"], text=True)
        assert said == "hello\n"
    if missing:
        pytest.skip(f"not asked, because this host lacks them: {' and '.join(missing)}")


@pytest.mark.root
@pytest.mark.slow
def test_debian_is_the_same_each_time(checkout: Path, tmp_path: Path, online: None, unchanged: None) -> None:
    if not shutil.which("mmdebstrap"):
        pytest.skip("needs mmdebstrap, which this host lacks")
    sites = [Site(tmp_path / "one"), Site(tmp_path / "two")]
    for site in sites:
        site.recipe("debian", (checkout / "registry/debian.toml").read_text())
        site.build("debian")
    assert sites[0].files("debian") == sites[1].files("debian")
    (entry,) = sites[0].images.repositories()
    found = members(entry, 0)
    assert content(entry, 0, "etc/machine-id") == b""
    for path in ("etc/hostname", "etc/resolv.conf", "var/cache/ldconfig/aux-cache"):
        assert path not in found
    for place in ("dev/", "var/lib/apt/lists/", "var/log/"):
        assert [name for name in found if name.startswith(place) and not found[name].isdir()] == []
    assert max(member.mtime for member in found.values()) <= 1704067200
