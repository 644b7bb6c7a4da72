"""commit and push: an image of what a container has become, for others to use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from cmanager import Engine
from cmanager.engine import commit
from cmanager.linux import cgroups

from ..support import Cli, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def own(cli: Cli, registry: Path, tmp_path: Path) -> Any:
    """A command line with a store and a registry directory of its own, in which busybox lies."""
    shutil.copytree(registry / "busybox", tmp_path / "registry" / "busybox")
    config = tmp_path / "plugins.toml"
    config.write_text(f'[image.layers]\nregistry = "{tmp_path}/registry"\n')
    made = Cli(tmp_path / "root", tmp_path / "run", config)
    yield made
    made("rm", "-a", "-f")


def ran(cli: Cli, script: str, *options: str) -> None:
    """A stopped container `box` that ran a script."""
    cli.ok("run", "--name", "box", "--network", "none", *options, "busybox", "sh", "-c", script)


def shell(cli: Cli, image: str, script: str) -> str:
    return cli.ok("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script)


@pytest.mark.parametrize("storage", ["overlay", "vfs"])
def test_what_is_committed_is_seen_by_the_next(own: Cli, storage: str) -> None:
    assert own.config
    own.config.write_text(own.config.read_text() + f'[defaults]\nstorage = "{storage}"\n')
    ran(
        own,
        "echo new > /etc/new; rm /etc/group; rm -r /root; mkdir /root; echo r > /root/only",
    )
    id = own.ok("commit", "box", "mine/box:v1")
    assert id.startswith("sha256:")
    assert "mine/box:v1" in own.ok("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert own.inspect("mine/box:v1")["Id"] == id
    assert shell(own, "mine/box:v1", "cat /etc/new; ls -A /root; [ -e /etc/group ] || echo gone") == "new\nonly\ngone"
    own.ok("rm", "box")
    own.ok("run", "--name", "box", "--network", "none", "mine/box:v1", "sh", "-c", "rm /etc/new; echo 2 > /second")
    own.ok("commit", "box", "mine/box:v2")
    assert shell(own, "mine/box:v2", "cat /second; [ -e /etc/new ] || [ -e /etc/group ] || echo gone") == "2\ngone"


def test_mount_points_are_not_committed(own: Cli, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    ran(own, "touch /v/on-the-volume", "-v", f"{tmp_path}/v:/v")
    assert own.ok("diff", "box") == ""
    own.ok("commit", "box", "mine")
    own.ok("export", "-o", str(tmp_path / "all.tar"), "box")
    listed = subprocess.run(["tar", "-tf", str(tmp_path / "all.tar")], check=True, capture_output=True, text=True)
    assert "on-the-volume" not in listed.stdout


def test_the_configuration_is_what_it_ran_with(own: Cli) -> None:
    ran(own, "true", "-e", "ONE=1", "-w", "/tmp", "-u", "7:8", "-l", "l=1", "--stop-signal", "INT")
    own.ok("commit", "box", "mine")
    config = own.inspect("mine")["Config"]
    assert config["Cmd"] == ["sh", "-c", "true"]
    assert "ONE=1" in config["Env"]
    assert (config["WorkingDir"], config["User"], config["Labels"]["l"]) == ("/tmp", "7:8", "1")


def test_changes_are_instructions_of_a_dockerfile(own: Cli) -> None:
    ran(own, "true")
    changes = (
        'CMD ["echo", "from cmd"]',
        'ENTRYPOINT ["env"]',
        "ENV A=1 B='two words'",
        "ENV C three words here",
        "WORKDIR /opt",
        "workdir sub",
        "USER 5",
        "EXPOSE 80 53/udp",
        'LABEL k="a b" other=x',
        "VOLUME /data",
        'VOLUME ["/more"]',
        "STOPSIGNAL SIGINT",
    )
    options = [word for change in changes for word in ("-c", change)]
    own.ok("commit", *options, "-a", "A. Author", "-m", "why", "box", "mine")
    config = own.inspect("mine")["Config"]
    assert (config["Cmd"], config["Entrypoint"]) == (["echo", "from cmd"], ["env"])
    assert {"A=1", "B=two words", "C=three words here"} <= set(config["Env"])
    assert (config["WorkingDir"], config["User"]) == ("/opt/sub", "5")
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert (config["Labels"]["k"], config["Labels"]["other"]) == ("a b", "x")
    assert set(config["Volumes"]) == {"/data", "/more"}
    own.ok("commit", "-c", "CMD echo $HOME", "-c", "ENTRYPOINT []", "box", "shell")
    assert own.inspect("shell")["Config"]["Cmd"] == ["/bin/sh", "-c", "echo $HOME"]
    assert own.ok("run", "--rm", "--network", "none", "shell") != ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ENVV A=1", "did you mean ENV"),
        ("COPY a b", "known are CMD"),
        ("EXPOSE 99999", "port"),
        ("ENV", "needs a value"),
        ("ENV A", "KEY=VALUE"),
        ("VOLUME data", "absolute"),
        ('CMD ["open', "--change"),
        ("STOPSIGNAL SIGNOPE", "unknown signal"),
    ],
)
def test_a_change_that_is_none_is_refused_before_anything_is_stored(own: Cli, change: str, said: str) -> None:
    ran(own, "true")
    before = own.ok("images", "-a", "-q")
    done = own("commit", "-c", change, "box", "mine")
    assert done.returncode == 125
    assert said in done.stderr
    assert own.ok("images", "-a", "-q") == before


def test_bad_names_and_missing_containers(own: Cli) -> None:
    ran(own, "true")
    assert own("commit", "box", "Not/Valid").returncode == 125
    assert own("commit", "box", "mine@sha256:" + "0" * 64).returncode == 125
    missing = own("commit", "no-such", "mine")
    assert missing.returncode == 1
    assert "no such container" in missing.stderr


def test_an_image_without_a_name_runs_by_its_id(own: Cli) -> None:
    ran(own, "echo x > /made")
    id = own.ok("commit", "box")
    assert shell(own, id.removeprefix("sha256:")[:12], "cat /made") == "x"


def test_a_running_container_stands_still_meanwhile(own: Cli) -> None:
    script = "i=0; while :; do i=$((i+1)); echo $i > /t; mv /t /a; echo $i > /t; mv /t /b; done"
    own.ok("run", "-d", "--name", "box", "--network", "none", "busybox", "sh", "-c", script)
    wait_until(lambda: "A /b" in own.ok("diff", "box"), "it writes")
    own.ok("commit", "box", "mine")
    a, b = shell(own, "mine", "cat /a /b").split()
    assert int(a) - int(b) in (0, 1)
    # And goes on afterwards.
    first = own.ok("cp", "box:/a", "-")
    time.sleep(0.2)
    assert own.ok("cp", "box:/a", "-") != first
    own.ok("commit", "--no-pause", "box", "unpaused")


def test_a_commit_that_is_killed_leaves_the_container_running(own: Cli) -> None:
    own.ok("run", "-d", "--name", "box", "--network", "none", "--init", "busybox", "sleep", "1000")
    engine = Engine(str(own.root), str(own.run_root), str(own.config))
    container = engine.inspect("box")
    child = os.fork()
    if child == 0:
        try:
            with commit.paused(engine, container, wanted=True):
                signal.pause()
        finally:
            os._exit(1)
    try:
        wait_until(lambda: frozen(container.id), "it stands still")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    wait_until(lambda: not frozen(container.id), "it goes on")


def frozen(id: str) -> bool:
    """Whether the kernel has stopped every process of a container."""
    for hierarchy in cgroups.hierarchies():
        for path in Path(hierarchy.mountpoint).rglob(id):
            if (path / "freezer.state").exists():
                return (path / "freezer.state").read_text().strip() == "FROZEN"
            if hierarchy.version == 2 and "frozen 1" in (path / "cgroup.events").read_text():
                return True
    return False


@pytest.mark.usefixtures("user_namespaces")
def test_owners_of_a_user_namespace_are_committed_as_seen_inside(own: Cli) -> None:
    ran(own, "touch /made; chown 7:8 /made", "--userns", "auto")
    own.ok("commit", "box", "mine")
    assert shell(own, "mine", "stat -c '%u:%g' /made") == "7:8"


def test_other_tools_read_what_is_pushed(own: Cli, tmp_path: Path) -> None:
    ran(own, "echo x > /made; rm /etc/group")
    own.ok("commit", "-a", "A. Author", "-m", "why", "-c", "LABEL k=v", "box", "mine/box:v1")
    assert "digest: sha256:" in own.ok("push", "mine/box:v1")
    place = tmp_path / "registry/mine/box"
    inspected = subprocess.run(["skopeo", "inspect", f"oci:{place}:v1"], check=True, capture_output=True)
    found = json.loads(inspected.stdout)
    assert found["Labels"]["k"] == "v"
    assert len(found["Layers"]) == len(own.inspect("busybox")["RootFS"]["Layers"]) + 1
    config = json.loads(
        subprocess.run(["skopeo", "inspect", "--config", f"oci:{place}:v1"], check=True, capture_output=True).stdout
    )
    assert (config["author"], config["history"][-1]["comment"]) == ("A. Author", "why")
    copy = ["skopeo", "copy", "-q", f"oci:{place}:v1", f"oci:{tmp_path}/copied:v1"]
    subprocess.run(copy, check=True, capture_output=True)
    unpack = ["umoci", "unpack", "--image", f"{tmp_path}/copied:v1", str(tmp_path / "bundle")]
    subprocess.run(unpack, check=True, capture_output=True)
    assert (tmp_path / "bundle/rootfs/made").read_text() == "x\n"
    assert not (tmp_path / "bundle/rootfs/etc/group").exists()


def test_what_is_pushed_can_be_pulled(own: Cli) -> None:
    ran(own, "echo x > /made")
    own.ok("commit", "box", "mine:v1")
    own.ok("push", "-q", "mine:v1")
    own.ok("push", "-q", "mine:v1")
    own.ok("rm", "box")
    own.ok("rmi", "mine:v1")
    assert own("run", "--rm", "--pull", "never", "mine:v1", "true").returncode == 125
    assert shell(own, "mine:v1", "cat /made") == "x"
    assert "mine:v1" in own.ok("registry", "ls")


def test_a_push_that_makes_no_sense_is_refused(own: Cli, tmp_path: Path) -> None:
    assert own("push", "no-such").returncode == 125
    own.ok("pull", "-q", "busybox")
    own.ok("tag", "busybox", "busybox/inner")
    refused = own("push", "busybox/inner")
    assert refused.returncode == 125
    assert "would lie in repository busybox" in refused.stderr
    assert sorted(path.name for path in (tmp_path / "registry").iterdir()) == ["busybox"]


def test_a_rotten_blob_is_not_pushed(own: Cli, tmp_path: Path) -> None:
    ran(own, "head -c 100000 /dev/urandom > /made")
    own.ok("commit", "box", "mine")
    blobs = own.root / "image/layers/blobs/sha256"
    newest = max((path for path in blobs.iterdir() if path.stat().st_size > 90_000), key=lambda p: p.stat().st_mtime_ns)
    data = bytearray(newest.read_bytes())
    data[5000] ^= 1
    newest.write_bytes(data)
    refused = own("push", "mine")
    assert refused.returncode == 125
    assert "damaged" in refused.stderr
    assert not (tmp_path / "registry/mine").exists()
