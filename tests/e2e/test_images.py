"""Images: built, pulled, named, removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ..support import Cli
from .conftest import build

pytestmark = pytest.mark.root


@pytest.fixture
def own(cli: Cli, registry: Path, tmp_path: Path) -> Cli:
    """A command line with a store and a registry directory of its own, in which busybox lies."""
    shutil.copytree(registry / "busybox", tmp_path / "registry" / "busybox")
    config = tmp_path / "plugins.toml"
    config.write_text(f'[image.layers]\nregistry = "{tmp_path}/registry"\n')
    return Cli(tmp_path / "root", tmp_path / "run", config)


def layout(cli: Cli) -> Path:
    assert cli.config
    return cli.config.parent / "registry" / "busybox"


def manifest(cli: Cli) -> dict[str, list[dict[str, object]]]:
    index = json.loads((layout(cli) / "index.json").read_text())
    path = layout(cli) / "blobs/sha256" / index["manifests"][0]["digest"].removeprefix("sha256:")
    found: dict[str, list[dict[str, object]]] = json.loads(path.read_text())
    return found


def test_building_twice_gives_the_same_digests(registry: Path, mirrors: int) -> None:
    before = (registry / "busybox" / "index.json").read_bytes()
    build(mirrors, "busybox")
    assert (registry / "busybox" / "index.json").read_bytes() == before


def test_other_tools_read_what_was_built(registry: Path, tmp_path: Path) -> None:
    if not shutil.which("skopeo") or not shutil.which("umoci"):
        pytest.skip("skopeo and umoci are not installed")
    found = subprocess.run(["skopeo", "inspect", f"oci:{registry}/busybox:latest"], check=True, capture_output=True)
    assert len(json.loads(found.stdout)["Layers"]) >= 2
    unpack = ["umoci", "unpack", "--image", f"{registry}/busybox:latest", str(tmp_path / "bundle")]
    subprocess.run(unpack, check=True, capture_output=True)
    assert (tmp_path / "bundle/rootfs/bin/busybox").exists()


def test_pull_says_what_it_does_and_what_it_got(own: Cli) -> None:
    done = own("pull", "busybox")
    assert done.returncode == 0
    assert "Downloaded newer image for busybox:latest" in done.stdout
    assert done.stdout.splitlines()[0].startswith("Digest: sha256:")
    assert "Pull complete" in done.stderr
    assert "\x1b" not in done.stderr
    assert "up to date" in own("pull", "busybox").stdout
    assert own.ok("pull", "-q", "busybox") == "busybox:latest"


def test_images_have_names_and_lose_them(own: Cli) -> None:
    own.ok("pull", "-q", "busybox")
    own.ok("tag", "busybox", "mine/shell:v1")
    names = own.ok("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert sorted(names) == ["busybox:latest", "mine/shell:v1"]
    assert own.ok("run", "--rm", "--network", "none", "mine/shell:v1", "echo", "renamed") == "renamed"
    assert own.ok("rmi", "busybox") == "Untagged: busybox:latest"
    assert "Deleted:" in own.ok("rmi", "mine/shell:v1")
    assert own.ok("images", "-q") == ""
    assert os.listdir(own.root / "image/layers/blobs/sha256") == []
    assert own("rmi", "busybox").returncode == 1


def test_an_image_in_use_keeps_its_last_name(own: Cli) -> None:
    own.ok("create", "--name", "user", "busybox")
    refused = own("rmi", "busybox")
    assert refused.returncode == 1
    assert "used by a container" in refused.stderr
    own.ok("rm", "user")
    own.ok("rmi", "busybox")


def test_inspect_of_an_image(own: Cli) -> None:
    own.ok("pull", "-q", "busybox")
    found = own.inspect("busybox")
    assert found["RepoTags"] == ["busybox:latest"]
    assert found["Config"]["Cmd"] == ["sh"]
    assert own.inspect(found["Id"][7:19])["Id"] == found["Id"]


@pytest.mark.parametrize("damage", ["flip", "cut", "grow"])
def test_a_blob_that_lies_is_refused_and_nothing_is_named(own: Cli, damage: str) -> None:
    digest = str(manifest(own)["layers"][0]["digest"]).removeprefix("sha256:")
    blob = layout(own) / "blobs/sha256" / digest
    data = bytearray(blob.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    blob.write_bytes({"flip": data, "cut": data[:-1], "grow": data + b"x"}[damage])
    done = own("pull", "busybox")
    assert done.returncode == 125
    assert digest in done.stderr
    assert own.ok("images", "-q") == ""


def test_a_blob_that_is_a_link_or_a_pipe_is_refused(own: Cli) -> None:
    digest = str(manifest(own)["layers"][0]["digest"]).removeprefix("sha256:")
    blob = layout(own) / "blobs/sha256" / digest
    blob.unlink()
    blob.symlink_to("/etc/shadow")
    assert own("pull", "busybox").returncode == 125
    blob.unlink()
    os.mkfifo(blob)
    assert own("pull", "busybox").returncode == 125


def test_a_missing_image_says_where_was_looked_and_what_to_do(own: Cli) -> None:
    done = own("pull", "debian")
    assert done.returncode == 125
    assert "cmanager registry build debian" in done.stderr
    assert "did you mean 'busybox'" in own("pull", "busybx").stderr
    assert own("pull", "../busybox").returncode == 125
    assert own("pull", "busybox:nope").returncode == 125


def test_gc_keeps_what_is_needed(own: Cli) -> None:
    own.ok("pull", "-q", "busybox")
    own.ok("gc")
    assert own.ok("run", "--rm", "--pull", "never", "--network", "none", "busybox", "echo", "whole") == "whole"


def test_the_registry_lists_images_and_recipes(own: Cli) -> None:
    listed = own.ok("registry", "ls")
    assert "busybox:latest" in listed
    assert "debian-python" in listed
    refused = own("registry", "build", "busybx")
    assert refused.returncode == 125
    assert "did you mean 'busybox'" in refused.stderr
