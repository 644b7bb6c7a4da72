"""Plugins of third parties: from a wheel they are found, pass their kit, take part in containers' lives, and go.

Those of tests/plugins were written against an earlier cmanager and are never changed; those called new_SEAM are what
`cmanager plugin new` writes today; `island` is the one that docs/plugins.md lets its reader write.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmanager.linux import cgroups

from ..disks import disk
from ..installed import InstalledCli
from ..support import wait_until
from .test_control import limit

pytestmark = pytest.mark.root

KEPT = [
    ("image", "shelf"),
    ("storage", "copies"),
    ("network", "lane"),
    ("limiter", "gauge"),
    ("limiter", "valve"),
    ("runtime", "jail"),
    ("hooks", "notes"),
]
NEW = [(seam, f"new_{seam}") for seam, _ in KEPT]
ALL = [*KEPT, *NEW, ("network", "island")]
EATER = "x=a; while :; do x=$x$x; done"
PROVIDERS = [(seam, name) for seam, name in ALL if seam != "hooks"]


def rows(cli: InstalledCli) -> dict[tuple[str, str], dict[str, str]]:
    """What `plugin ls` says of each plugin."""
    found = json.loads(cli.ok("plugin", "ls", "--output", "json"))["items"]
    return {(row["seam"], row["name"]): row for row in found}


def by_default(cli: InstalledCli, seam: str, name: str, options: str = "") -> None:
    cli.configure(f'[defaults]\n{seam} = "{name}"\n\n[{seam}.{name}]\n{options}\n')


@pytest.fixture(scope="module", autouse=True)
def everyone(user: InstalledCli) -> Iterator[list[str]]:
    """All of them, installed; the names of their distributions."""
    names = [f"cmanager-{name}" for _, name in ALL]
    user.site.install(*names, "cmanager-jail==1.0")
    yield names
    user.configure("")
    done = user("gc")
    user.site.uninstall(*names)
    assert (done.returncode, done.stderr) == (0, "")


def test_they_are_found(theirs: InstalledCli) -> None:
    found = rows(theirs)
    told = {key: (found[key]["state"], found[key]["origin"], found[key]["reason"]) for key in ALL}
    assert told == {(seam, name): ("ok", f"cmanager-{name} 1.0", "") for seam, name in ALL}


def test_they_are_gone_after_their_removal(theirs: InstalledCli, everyone: list[str]) -> None:
    theirs.site.uninstall(*everyone)
    try:
        assert not set(ALL) & set(rows(theirs))
        done = theirs("run", "--runtime", "jail", "busybox", "true")
        assert (done.returncode, done.stderr.startswith("cmanager: no runtime plugin 'jail'")) == (125, True)
    finally:
        theirs.site.install(*everyone, "cmanager-jail==1.0")


@pytest.mark.parametrize(("seam", "name"), [row for row in ALL if row[0] == "runtime"])
def test_a_runtime_runs(theirs: InstalledCli, seam: str, name: str) -> None:
    done = theirs("run", "--rm", "--runtime", name, "busybox", "sh", "-c", "echo hello; exit 3")
    assert (done.stdout, done.returncode) == ("hello\n", 3)
    assert theirs("run", "--rm", "--runtime", name, "busybox", "nothing").returncode == 127
    theirs.ok("run", "-d", "--name", "box", "--runtime", name, "busybox", "sleep", "1000")
    theirs.ok("kill", "box")
    assert theirs.ok("wait", "box") == "137"


def test_more_of_a_runtime(theirs: InstalledCli) -> None:
    """Programs that join, options, limits and users."""
    theirs.configure("[runtime.jail]\nnice = 7\n")
    limits = ("--ulimit", "nofile=100:200", "--user", "12:34", "--umask", "0027")
    theirs.ok("run", "-d", "--name", "box", "--runtime", "jail", *limits, "busybox", "sleep", "1000")
    said = theirs.ok("exec", "box", "sh", "-c", "cut -d ' ' -f 19 /proc/self/stat; ulimit -n; id -u; id -g; umask")
    assert said.split() == ["7", "100", "12", "34", "0027"]
    assert theirs("exec", "box", "nothing").returncode == 127
    assert theirs("exec", "box", "sh", "-c", "kill -9 $$").returncode == 137
    theirs.configure("[runtime.jail]\nnice = 70\n")
    done = theirs("run", "--rm", "--runtime", "jail", "busybox", "true")
    assert done.returncode == 125
    assert "options of runtime plugin 'jail'" in done.stderr


@pytest.mark.parametrize(("seam", "name"), [row for row in ALL if row[0] == "network"])
def test_a_network_connects(theirs: InstalledCli, seam: str, name: str) -> None:
    theirs.ok("run", "-d", "--name", "first", "--network", name, "busybox", "sleep", "1000")
    address = theirs.inspect("first")["NetworkSettings"]["IPAddress"]
    assert f"inet {address}/" in theirs.ok("exec", "first", "ip", "-4", "address", "show", "eth0")
    ask = ("ping", "-c", "1", "-W", "5", address)
    theirs.ok("run", "--rm", "--network", name, "busybox", *ask)
    assert theirs("run", "--rm", "--network", "none", "busybox", *ask).returncode != 0


def test_more_of_a_network(theirs: InstalledCli) -> None:
    """Options, addresses on request, neighbours."""
    theirs.configure('[network.lane]\nsubnet = "10.244.78.0/24"\nbridge = "lane7"\n')
    asked = ("--ip", "10.244.78.9", "--mac-address", "02:00:00:00:00:09")
    theirs.ok("run", "-d", "--name", "first", "--network", "lane", *asked, "busybox", "sleep", "1000")
    assert "02:00:00:00:00:09" in theirs.ok("exec", "first", "cat", "/sys/class/net/eth0/address")
    theirs.ok("run", "--rm", "--network", "lane", "busybox", "ping", "-c", "1", "-W", "5", "10.244.78.9")
    done = theirs("run", "--rm", "--network", "lane", "--ip", "10.244.78.9", "busybox", "true")
    assert done.returncode == 125
    assert "10.244.78.9 is taken" in done.stderr


@pytest.mark.parametrize(("seam", "name"), [row for row in ALL if row[0] == "storage"])
def test_a_storage_keeps(theirs: InstalledCli, seam: str, name: str) -> None:
    by_default(theirs, seam, name)
    id = theirs.ok("run", "-d", "busybox", "sh", "-c", "echo kept > /file; sleep 1000")
    assert (theirs.root / "storage" / name / "containers" / id / "rootfs/bin").is_dir()
    theirs.ok("restart", "-t", "0", id)
    assert theirs.ok("exec", id, "cat", "/file") == "kept"
    theirs.ok("rm", "-f", id)
    assert list((theirs.root / "storage" / name / "containers").iterdir()) == []


def test_more_of_a_storage(theirs: InstalledCli) -> None:
    """Volumes, and what a container changed."""
    by_default(theirs, "storage", "copies", "max_layer_bytes = 1000000000")
    theirs.ok("volume", "create", "data")
    theirs.ok("run", "--name", "box", "-v", "data:/data", "busybox", "sh", "-c", "echo 1 > /data/x; rm /bin/false")
    assert theirs.ok("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/x") == "1"
    assert "D /bin/false" in theirs.ok("diff", "box").splitlines()
    theirs.ok("rm", "box")
    theirs.ok("volume", "rm", "data")
    by_default(theirs, "storage", "copies", "max_layer_bytes = 0")
    done = theirs("run", "--rm", "busybox", "true")
    assert (done.returncode, "options of storage plugin 'copies'" in done.stderr) == (125, True)
    by_default(theirs, "storage", "copies")


@pytest.mark.parametrize(("seam", "name"), [("limiter", "gauge"), ("limiter", "new_limiter")])
def test_a_limiter_limits(theirs: InstalledCli, seam: str, name: str) -> None:
    by_default(theirs, seam, name)
    script = "cat /proc/self/cgroup; for i in 1 2 3 4 5 6 7 8; do sleep 5 & done"
    done = theirs("run", "--rm", "--cgroupns", "host", "--pids-limit", "4", "busybox", "sh", "-c", script)
    assert f"/cmanager-{name}-" in done.stdout
    assert "fork" in done.stderr
    done = theirs("run", "--rm", "--cpus", "1", "busybox", "true")
    assert done.returncode == 125
    assert f"limiter {name}" in done.stderr
    # It was written before there was this limit, so it does not look at it.
    done = theirs("run", "--rm", "--cpu-quota", "50000", "busybox", "true")
    assert (done.returncode, f"limiter {name} cannot honour --cpu-quota" in done.stderr) == (125, True)
    theirs.ok("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    theirs.ok("pause", "box")
    theirs.ok("unpause", "box")


def test_more_of_a_limiter(theirs: InstalledCli) -> None:
    """Memory, changes while it runs, and a warning."""
    by_default(theirs, "limiter", "gauge")
    theirs.ok("run", "-d", "--name", "box", "--memory", "64m", "busybox", "sleep", "1000")
    assert "gauge bounds no swap" in theirs.inspect("box")["Cmanager"]["Warnings"]
    theirs.ok("update", "--memory", "32m", "box")
    assert theirs.inspect("box")["HostConfig"]["Memory"] == 32 << 20


def test_a_limiter_that_knows_some_limits_more_takes_the_place_of_ours(theirs: InstalledCli, tmp_path: Path) -> None:
    """By one line; what it does not know is refused by name, or left out, and every command works through it."""
    theirs.configure('[defaults]\nlimiter = "valve"\n')
    for option, said in (("--blkio-weight", "cannot honour --blkio-weight"), ("-c", "has no control of cpu_shares")):
        done = theirs("run", option, "300", "busybox", "true")
        assert (done.returncode, f"limiter valve {said}" in done.stderr) == (125, True)
    done = theirs("run", "--rm", "--limits", "lax", "--blkio-weight", "300", "busybox", "echo", "ran")
    assert (done.stdout, "left out: limiter valve cannot honour --blkio-weight" in done.stderr) == ("ran\n", True)
    assert theirs("run", "--name", "greedy", "-m", "32m", "busybox", "sh", "-c", EATER).returncode == 137
    assert theirs.inspect("greedy")["State"]["OOMKilled"] is True
    with disk(tmp_path) as node:
        slow = ("--device", f"{node}:/dev/disk", "--device-read-bps", f"{node}:2mb")
        began = time.monotonic()
        theirs.ok(
            "run", "--rm", *slow, "busybox", "dd", "if=/dev/disk", "of=/dev/null", "iflag=direct", "bs=64k", "count=16"
        )
        assert time.monotonic() - began > 0.35, "a mebibyte at two a second"
    burner = ("busybox", "sh", "-c", "while :; do :; done")
    theirs.ok("run", "-d", "--name", "box", "--cpu-quota", "20000", "--pids-limit", "8", *burner)
    path = theirs.inspect("box")["Cmanager"]["Cgroup"]
    assert path.startswith("/cmanager-valve-")
    wait_until(lambda: used(theirs)["usage"]["cpu_throttled_periods"] > 1, "it has to wait")
    theirs.ok("update", "--cpu-quota", "60000", "--pids-limit", "9", "box")
    assert (limit(path, "pids", "pids.max"), theirs.inspect("box")["HostConfig"]["CpuQuota"]) == ("9", 60000)
    done = theirs("update", "--blkio-weight", "300", "box")
    assert (done.returncode, "limiter valve cannot honour --blkio-weight" in done.stderr) == (1, True)
    theirs.ok("pause", "box")
    first, second = used(theirs), used(theirs)
    assert (first["state"], second["cpu_percent"], second["usage"]["pids_limit"]) == ("paused", 0, 9)
    assert first["usage"]["cpu_seconds"] == second["usage"]["cpu_seconds"]
    theirs.ok("unpause", "box")
    theirs.ok("kill", "box")
    assert theirs.ok("wait", "box") == "137"
    assert theirs.inspect("box")["Cmanager"]["Usage"]["CpuSeconds"] >= second["usage"]["cpu_seconds"]
    theirs.ok("rm", "box")
    assert not any(os.path.exists(hierarchy.path(path)) for hierarchy in cgroups.hierarchies())


def used(cli: InstalledCli) -> dict[str, Any]:
    """What the container called box uses."""
    (item,) = json.loads(cli.ok("stats", "--no-stream", "--output", "json", "box"))["items"]
    found: dict[str, Any] = item
    return found


@pytest.mark.parametrize(("seam", "name"), [row for row in ALL if row[0] == "image"])
def test_a_store_of_images_has_them(theirs: InstalledCli, seam: str, name: str, registry: Path) -> None:
    by_default(theirs, seam, name, f'registry = "{registry}"')
    assert theirs.ok("images", "-q") == ""
    assert theirs.ok("run", "--rm", "busybox", "echo", "from the shelf") == "from the shelf"
    assert theirs.ok("images", "--format", "{{.Repository}}") == "busybox"
    assert theirs("run", "--rm", "nothing").returncode == 125
    theirs.ok("rmi", "busybox")
    assert theirs.ok("images", "-q") == ""


def test_more_of_a_store_of_images(theirs: InstalledCli, registry: Path) -> None:
    """The list of what it could pull."""
    by_default(theirs, "image", "shelf", f'registry = "{registry}"')
    assert "busybox" in theirs.ok("registry", "ls")


def test_hooks_add_refuse_and_listen(theirs: InstalledCli, tmp_path: Path) -> None:
    place = tmp_path / "notes"
    theirs.configure(f'[hooks]\namend = ["notes"]\nevent = ["notes"]\n\n[hooks.notes]\nplace = "{place}"\n')
    script = "echo $NOTES; grep -c ' /notes ' /proc/mounts"
    assert theirs.ok("run", "--name", "noted", "busybox", "sh", "-c", script).split() == ["taken", "1"]
    assert "container start noted" in (place / "events").read_text().splitlines()
    noted = theirs.inspect("noted")
    assert json.loads((place / "states").read_text())["id"] == noted["Id"]
    done = theirs("run", "--annotation", "notes=never", "busybox", "true")
    assert done.returncode == 125
    assert "plugin 'notes' refused the container: an annotation says that this container never runs" in done.stderr
    assert theirs.ok("run", "--annotation", "notes=none", "busybox", "env").count("NOTES") == 0


def test_new_hooks_add_refuse_and_listen(theirs: InstalledCli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    theirs.configure(f'[hooks]\namend = ["new_hooks"]\nevent = ["new_hooks"]\n\n[hooks.new_hooks]\nlog = "{log}"\n')
    assert "KNOWN_TO=new_hooks" in theirs.ok("run", "--rm", "busybox", "env").splitlines()
    done = theirs("run", "--rm", "-v", "/:/host", "busybox", "true")
    assert (done.returncode, "the root directory of the host" in done.stderr) == (125, True)
    assert {"create", "start", "die"} <= {line.split()[1] for line in log.read_text().splitlines()}


@pytest.mark.slow
@pytest.mark.parametrize(("seam", "name"), PROVIDERS)
def test_it_passes_its_kit(theirs: InstalledCli, seam: str, name: str, tmp_path: Path, busybox: None) -> None:
    done = theirs.site.pytest(tmp_path, "--cmanager-provider", f"{seam}:{name}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize(
    ("seam", "name"),
    [pytest.param(seam, name, marks=() if seam == "hooks" else pytest.mark.slow) for seam, name in NEW],
)
def test_what_plugin_new_writes_passes_its_own_tests(
    theirs: InstalledCli, wheels: Path, seam: str, name: str, busybox: None
) -> None:
    done = theirs.site.pytest(wheels.parent / "new" / seam)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_package_of_the_tutorial_passes_its_own_test(theirs: InstalledCli, wheels: Path) -> None:
    done = theirs.site.pytest(wheels.parent / "tutorial")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def busybox(user: InstalledCli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit uses the static busybox of the image."""
    user.ok("run", "--rm", "busybox", "true")
    found = next(user.root.glob("storage/overlay/layers/*/fs/bin/busybox"))
    monkeypatch.setenv("CMANAGER_TEST_BUSYBOX", str(found))
