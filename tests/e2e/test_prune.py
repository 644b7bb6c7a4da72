"""What the disk is taken by, and what may go."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ..support import Cli

pytestmark = pytest.mark.root


@pytest.fixture
def own(cli: Cli, registry: Path, tmp_path: Path) -> Cli:
    """A command line with a store of its own, in which busybox has two names."""
    found = Cli(tmp_path / "root", tmp_path / "run")
    found.ok("pull", "-q", "busybox")
    found.ok("tag", "busybox", "other:1")
    return found


def blobs(cli: Cli) -> int:
    return sum(len(names) for _, _, names in os.walk(cli.root / "image"))


def test_df_counts_every_layer_once(own: Cli) -> None:
    own.ok("run", "--name", "writer", "busybox", "sh", "-c", "head -c 3000000 /dev/zero > /file")
    document = json.loads(own.ok("system", "df", "--output", "json"))
    assert document["schema"] == "cmanager.df/1"
    images, containers, volumes = document["items"]
    assert (volumes["type"], volumes["total"]) == ("volumes", 0)
    assert (images["type"], images["total"], images["active"], images["reclaimable_bytes"]) == ("images", 1, 1, 0)
    assert images["size_bytes"] == own.inspect("busybox")["Size"]
    assert (containers["total"], containers["active"]) == (1, 0)
    assert containers["size_bytes"] == containers["reclaimable_bytes"] >= 3_000_000
    header, *rows = own.ok("system", "df").splitlines()
    assert header.split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert rows[0].split()[:3] == ["Images", "1", "1"]
    assert rows[1].endswith("(100%)")
    assert own.ok("system", "df", "--format", "{{.Type}} {{.TotalCount}}").splitlines() == [
        "Images 1",
        "Containers 1",
        "Local Volumes 0",
    ]
    own.ok("rm", "writer")
    images = json.loads(own.ok("system", "df", "--output", "json"))["items"][0]
    assert (images["active"], images["reclaimable_bytes"]) == (0, images["size_bytes"])


def test_df_verbose_names_everything(own: Cli) -> None:
    own.ok("run", "--name", "made", "-v", "data:/data", "busybox", "sh", "-c", "head -c 4000000 /dev/zero > /data/file")
    text = own.ok("system", "df", "-v")
    assert "Images space usage:" in text
    assert "SHARED SIZE" in text
    assert "made" in text
    assert "Local Volumes space usage:" in text
    images, containers, volumes = json.loads(own.ok("system", "df", "-v", "--output", "json"))["items"]
    assert (volumes["items"][0]["name"], volumes["items"][0]["containers"]) == ("data", 1)
    assert volumes["items"][0]["size_bytes"] >= 4_000_000
    assert sorted(item["reference"] for item in images["items"]) == ["busybox:latest", "other:1"]
    assert (images["items"][0]["containers"], containers["items"][0]["name"]) == (1, "made")
    assert own("system", "df", "-v", "--format", "json").returncode == 125


def test_container_prune_asks_and_leaves_what_runs(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
    cli.ok("create", "--name", "kept", "-l", "keep", "busybox")
    ended = cli.ok("create", "--name", "ended", "busybox")
    asked = cli("container", "prune", stdin="n\n")
    assert (asked.returncode, asked.stdout) == (0, "")
    assert asked.stderr.startswith("WARNING! This will remove all stopped containers.\nAre you sure")
    assert cli("container", "prune").stdout == ""
    assert len(cli.names()) == 3
    told = cli("container", "prune", "--filter", "label!=keep", stdin="y\n")
    assert told.stdout.splitlines()[:2] == ["Deleted Containers:", ended]
    assert told.stdout.splitlines()[-1].startswith("Total reclaimed space: ")
    assert sorted(cli.names()) == ["kept", "runs"]
    assert cli.ok("container", "prune", "-f", "--filter", "until=1h") == "Total reclaimed space: 0B"
    cli.ok("container", "prune", "-f")
    assert cli.names() == ["runs"]
    refused = cli("container", "prune", "-f", "--filter", "colour=red")
    assert refused.returncode == 125
    assert "label, until" in refused.stderr


def test_image_prune_leaves_names_and_what_containers_need(own: Cli) -> None:
    own.ok("create", "--name", "needs", "busybox")
    own.ok("image", "prune", "-f")
    own.ok("image", "prune", "-a", "-f")
    assert len(own.ok("images", "-q").split()) == 2
    own.ok("rm", "needs")
    assert own.ok("image", "prune", "-f") == "Total reclaimed space: 0B"
    identity = own.inspect("busybox")["Id"]
    text = own.ok("image", "prune", "-a", "-f").splitlines()
    assert text[0] == "Deleted Images:"
    assert set(text[1:4]) == {"untagged: busybox:latest", "untagged: other:1", f"deleted: {identity}"}
    assert text[-1].endswith("MB")
    assert own.ok("images", "-q") == ""
    assert blobs(own) <= 3  # the catalogue and its locks


def test_system_prune_does_both(own: Cli) -> None:
    own.ok("create", "--name", "ended", "busybox")
    asked = own("system", "prune", "-a", stdin="")
    assert "  - all stopped containers\n  - all images without at least one container" in asked.stderr
    assert own.names() == ["ended"]
    text = own.ok("system", "prune", "-a", "-f")
    assert "Deleted Containers:" in text
    assert "Deleted Images:" in text
    assert own.names() == []
    assert own.ok("images", "-q") == ""
    actions = own.ok("events", "--until", "0s", "--filter", "event=prune", "--format", "{{.Type}}").split()
    assert actions == ["container", "image"]


def test_system_prune_takes_anonymous_volumes_when_asked(own: Cli) -> None:
    own.ok("volume", "create", "named")
    own.ok("create", "-v", "/data", "--name", "ended", "busybox")
    (anonymous,) = [name for name in own.ok("volume", "ls", "-q").split() if name != "named"]
    assert own("system", "prune", "-f", "--volumes", "--filter", "until=1h").returncode == 125
    own.ok("system", "prune", "-f")
    assert anonymous in own.ok("volume", "ls", "-q").split()
    assert f"Deleted Volumes:\n{anonymous}\n" in own.ok("system", "prune", "-f", "--volumes")
    assert own.ok("volume", "ls", "-q") == "named"


def test_longer_names_are_the_same_commands(cli: Cli) -> None:
    cli.ok("container", "create", "--name", "busybox", "busybox", "true")
    assert cli.ok("container", "ls", "-a", "--format", "{{.Names}}") == "busybox"
    assert json.loads(cli.ok("image", "inspect", "busybox"))[0]["RepoTags"]
    assert json.loads(cli.ok("container", "inspect", "busybox"))[0]["State"]["Status"] == "created"
    assert "busybox" in cli.ok("image", "ls")
    assert cli.ok("system", "info", "-f", "{{.Driver}}") == cli.ok("info", "-f", "{{.Driver}}")
    assert cli.ok("container", "rm", "busybox") == "busybox"
    assert "prune" in cli.ok("container", "--help")
    done = cli("container", "run", "--rm", "busybox", "sh", "-c", "exit 5")
    assert done.returncode == 5
