"""Docker volume plugins: `docker:NAME`, spoken to over a real socket, with a real plugin at the other end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support import Cli, end, wait_until

pytestmark = pytest.mark.root

MOUNT = "type=volume,source=data,target=/data,volume-driver=docker:shelf"


class Shelf:
    """The plugin as a process, and what it was asked."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.socket = place / "sockets/shelf.sock"
        self.socket.parent.mkdir()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        script = Path(__file__).parent.parent / "dockervolume.py"
        self.process = subprocess.Popen([sys.executable, script, self.socket, self.place])
        wait_until(self.socket.exists, "the plugin listens")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.socket.unlink(missing_ok=True)
        self.fault("")

    def fault(self, text: str) -> None:
        (self.place / "fault").unlink(missing_ok=True)
        if text:
            (self.place / "fault").write_text(text)

    def calls(self, *methods: str) -> list[str]:
        """Calls of these methods since the last look, without the ids of containers."""
        path = self.place / "calls"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        words = [line.removeprefix("VolumeDriver.").split()[:2] for line in found]
        return [" ".join(word) for word in words if not methods or word[0] in methods]

    @property
    def mounted(self) -> list[str]:
        return [
            line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.place) in line
        ]


@pytest.fixture(scope="module", autouse=True)
def image(machine: Cli) -> None:
    """Whoever comes first does not pull it, so that what a command says is about what went wrong."""
    machine.ok("pull", "busybox")


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf(tmp_path)
    yield found
    found.stop()
    left = found.mounted
    for path in left:
        subprocess.run(["umount", path], check=True)
    assert left == []


@pytest.fixture
def cli(machine: Cli, shelf: Shelf) -> Iterator[Cli]:
    """A command line whose plugins listen below the test's directory; nothing is left of it."""
    config = shelf.place / "plugins.toml"
    config.write_text(
        f'[storage."docker:*"]\nsockets = ["{shelf.place}/sockets"]\nspecs = ["{shelf.place}/specs"]\n'
        "timeout = 1.0\nslow_timeout = 1.0\n"
    )
    found = Cli(machine.root, machine.run_root, config)
    yield found
    if shelf.process is None:
        shelf.start()
    shelf.fault("")
    assert found.clear() == []
    found.ok("volume", "prune", "-a", "-f")
    assert found.ok("volume", "ls", "-q") == ""
    assert list((machine.root / "storage").glob("docker:*/*/*")) == []
    for left in (machine.root / "storage").glob("docker:*"):
        shutil.rmtree(left)


def sh(cli: Cli, script: str, *options: str) -> str:
    return cli.ok("run", "--rm", "--network", "none", *options, "busybox", "sh", "-c", script)


def volume(cli: Cli, name: str = "data") -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(cli.ok("volume", "inspect", name))
    return found[0]


def refused(cli: Cli, *arguments: str) -> str:
    done = cli(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1), done
    return done.stderr


# -- what works ---------------------------------------------------------------------------------------------------


def test_a_volume_is_made_mounted_unmounted_and_removed_by_the_plugin(cli: Cli, shelf: Shelf) -> None:
    assert cli.ok("volume", "create", "-d", "docker:shelf", "-o", "size=1g", "-l", "tier=db", "data") == "data"
    assert json.loads((shelf.place / "options-data").read_text()) == {"size": "1g"}
    assert shelf.calls() == ["Plugin.Activate", "Get data", "Create data", "Capabilities"]
    sh(cli, "echo kept > /data/file", "--mount", MOUNT)
    assert shelf.calls("Mount", "Unmount") == ["Mount data", "Unmount data"]
    assert (shelf.place / "volumes/data/file").read_text() == "kept\n"
    assert sh(cli, "cat /data/file", "-v", "data:/data:ro") == "kept"
    assert cli.ok("volume", "rm", "data") == "data"
    assert not (shelf.place / "volumes/data").exists()


def test_it_is_mounted_as_long_as_a_container_runs(cli: Cli, shelf: Shelf) -> None:
    for name in ("one", "two"):
        cli.ok(
            "run", "-d", "--name", name, "-v", "data:/data", "--volume-driver", "docker:shelf", "busybox", "sleep", "99"
        )
    [place] = shelf.mounted
    assert volume(cli)["Mountpoint"] == place
    assert volume(cli)["Status"] == {"users": 2}
    assert cli.inspect("one")["Mounts"][0]["Source"] == place
    cli.ok("kill", "one")
    cli.ok("wait", "one")
    assert shelf.mounted == [place]
    cli.ok("rm", "-f", "two")
    assert shelf.mounted == []
    assert volume(cli)["Mountpoint"] == ""
    assert "in use by container one" in refused_rm(cli)
    cli.ok("start", "one")
    assert shelf.mounted == [place]
    cli.ok("restart", "-t", "0", "one")
    assert shelf.mounted == [place]


def refused_rm(cli: Cli) -> str:
    done = cli("volume", "rm", "data")
    assert done.returncode != 0
    return done.stderr


def test_what_is_known_of_it(cli: Cli, shelf: Shelf) -> None:
    cli.ok("volume", "create", "-d", "docker:shelf", "-o", "size=1g", "data")
    found = volume(cli)
    assert (found["Driver"], found["Options"], found["Scope"]) == ("docker:shelf", {"size": "1g"}, "global")
    assert found["Status"] == {"users": 0}
    assert cli.ok("volume", "ls", "--format", "{{.Driver}} {{.Name}} {{.Scope}}") == "docker:shelf data global"
    assert cli.ok("volume", "create", "-o", "size=1g", "data") == "data"
    assert "other options: size=1g" in refused(cli, "volume", "create", "-o", "size=2g", "data")
    assert "exists already in storage docker:shelf" in refused(cli, "volume", "create", "-d", "overlay", "data")


def test_what_the_plugin_has_already_is_taken_over(cli: Cli, shelf: Shelf) -> None:
    (shelf.place / "volumes/data").mkdir(parents=True)
    (shelf.place / "volumes/data/file").write_text("from before\n")
    assert sh(cli, "cat /data/file", "--mount", MOUNT) == "from before"
    assert shelf.calls("Create") == []


def test_an_empty_one_is_filled_from_the_image_as_any_other(cli: Cli, shelf: Shelf) -> None:
    options = ("--mount", MOUNT.replace("/data", "/etc"))
    assert "root:x:0:0" in sh(cli, "cat /etc/passwd", *options)
    assert not (shelf.place / "volumes/data/.cmanager").exists()
    assert sh(cli, "ls /empty", "--mount", MOUNT.replace("data", "other").replace("/other", "/empty")) == ""
    none = f"{MOUNT.replace('=data', '=third').replace('/data', '/etc')},volume-nocopy"
    assert "passwd" not in sh(cli, "ls /etc", "--mount", none)


def test_a_filling_that_died_is_finished_by_the_next_start(cli: Cli, shelf: Shelf) -> None:
    left = shelf.place / "volumes/data/.cmanager"
    (left / "filled").mkdir(parents=True)
    (left / "filled/half").write_text("moved in\n")
    (left / "filling").mkdir()
    assert sh(cli, "ls -a /etc", "--mount", MOUNT.replace("/data", "/etc")).split() >= [".", ".."]
    assert (shelf.place / "volumes/data/half").read_text() == "moved in\n"
    assert not left.exists()


def test_user_namespaces_see_their_own_ids(cli: Cli, shelf: Shelf, user_namespaces: None) -> None:
    sh(cli, "touch /data/file", "--mount", MOUNT, "--userns", "auto")
    assert (shelf.place / "volumes/data/file").stat().st_uid == 0


def test_files_are_copied_into_a_container_that_does_not_run(cli: Cli, shelf: Shelf, tmp_path: Path) -> None:
    cli.ok("create", "--name", "still", "--mount", MOUNT, "busybox", "ls", "/data")
    cli.ok("start", "-a", "still")
    shelf.calls()
    (tmp_path / "letter").write_text("hello\n")
    cli.ok("cp", str(tmp_path / "letter"), "still:/data/letter")
    assert (shelf.place / "volumes/data/letter").read_text() == "hello\n"
    cli.ok("cp", "still:/data/letter", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "hello\n"
    assert shelf.calls("Mount", "Unmount") == ["Mount data", "Unmount data"] * 2
    assert shelf.mounted == []


def test_anonymous_ones_go_with_their_container(cli: Cli, shelf: Shelf) -> None:
    sh(cli, "touch /data/file", "-v", "/data", "--volume-driver", "docker:shelf")
    assert shelf.calls("Create", "Remove") != []
    assert list((shelf.place / "volumes").iterdir()) == []


SLOW_PLACES = ("specs/shelf/shelf.spec", "sockets/shelf/shelf.sock")


@pytest.mark.parametrize(
    "place",
    ["specs/shelf.spec", "specs/shelf.json", *(pytest.param(place, marks=pytest.mark.slow) for place in SLOW_PLACES)],
)
def test_a_plugin_is_found_where_docker_finds_it(cli: Cli, shelf: Shelf, place: str) -> None:
    at = shelf.place / place
    at.parent.mkdir(parents=True, exist_ok=True)
    if at.suffix == ".sock":
        shelf.socket.rename(at)
    else:
        shelf.socket.rename(shelf.place / "elsewhere.sock")
        address = f"unix://{shelf.place}/elsewhere.sock"
        at.write_text(f"{address}\n" if at.suffix == ".spec" else json.dumps({"Name": "shelf", "Addr": address}))
    assert cli.ok("volume", "create", "-d", "docker:shelf", "data") == "data"
    cli.ok("volume", "rm", "data")


def test_explain_shows_the_step(cli: Cli, shelf: Shelf) -> None:
    assert "let its storage attach volume data (docker:shelf)" in cli.ok("explain", "run", "--mount", MOUNT, "busybox")
    assert cli.ok("volume", "ls", "-q") == ""


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("volume", "create", "-d", "docker:ghost", "data"), "no docker volume plugin 'ghost' in "),
        (("run", "--mount", MOUNT.replace("shelf", "ghost"), "busybox"), "no docker volume plugin 'ghost' in "),
        (("volume", "create", "-d", "docker:far", "data"), "far.spec: plugins are spoken to at unix:///PATH only"),
        (("volume", "create", "-d", "docker:odd", "data"), "odd.json names no address"),
        (("volume", "create", "-d", "docker:../shelf", "data"), "no storage plugin 'docker:../shelf'"),
        (("volume", "create", "-o", "size=1g", "data"), "'size': storage plugin 'overlay' takes none"),
        (("run", "--mount", "type=volume,target=/x,volume-opt=a=b", "busybox"), "'a': storage plugin 'overlay' takes"),
        (("run", "--volume-driver", "docker:shelf", "busybox"), "--volume-driver needs a volume given with -v"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    cli: Cli, shelf: Shelf, arguments: tuple[str, ...], said: str
) -> None:
    (shelf.place / "specs").mkdir()
    (shelf.place / "specs/far.spec").write_text("tcp://198.51.100.1:8080\n")
    (shelf.place / "specs/odd.json").write_text('{"Adr": 1}')
    assert said in refused(cli, *arguments)
    assert (cli.names(), cli.ok("volume", "ls", "-q")) == ([], "")


def test_root_file_systems_are_not_its_business(cli: Cli, shelf: Shelf) -> None:
    assert cli.config
    with cli.config.open("a") as file:
        file.write('[defaults]\nstorage = "docker:shelf"\n')
    assert "keeps no root file systems, only volumes" in refused(cli, "run", "busybox", "true")
    cli.config.write_text(cli.config.read_text().partition("[defaults]")[0])


# -- faults -------------------------------------------------------------------------------------------------------

FAULTS = {
    "hang": "no answer in 1 s",
    "rubbish": "no JSON object",
    "500": "status 500",
    "exit": "",
    "the disk is full": "the disk is full",
}


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("Mount", "hang"),
        ("Create", "the disk is full"),
        *(
            pytest.param(method, fault, marks=pytest.mark.slow)
            for method in ("Create", "Mount")
            for fault in FAULTS
            if (method, fault) not in (("Mount", "hang"), ("Create", "the disk is full"))
        ),
    ],
)
def test_a_plugin_that_fails_a_start_is_one_line_and_nothing_is_left(
    cli: Cli, shelf: Shelf, method: str, fault: str
) -> None:
    shelf.fault(f"VolumeDriver.{method}={fault}")
    said = refused(cli, "run", "--rm", "--mount", MOUNT, "busybox", "true")
    assert said.startswith(f"cmanager: docker volume plugin 'shelf' ({shelf.socket}): {method}: ")
    assert FAULTS[fault] in said
    assert cli.names() == []
    assert (method == "Create") == (cli.ok("volume", "ls", "-q") == "")
    shelf.stop()
    shelf.start()
    assert sh(cli, "echo well", "--mount", MOUNT) == "well"


def test_a_plugin_that_is_away_stops_nobody_who_does_not_need_it(cli: Cli, shelf: Shelf) -> None:
    cli.ok("volume", "create", "-d", "docker:shelf", "data")
    shelf.fault("every=hang")
    shelf.calls()
    assert cli.ok("volume", "ls", "-q") == "data"
    assert cli.ok("run", "--rm", "-v", "plain:/data", "busybox", "echo", "well") == "well"
    assert "data" in cli.ok("system", "df", "-v")
    assert shelf.calls() == []
    assert "no answer in 1 s" in volume(cli)["Status"]["Error"]
    shelf.stop()
    assert "no docker volume plugin 'shelf'" in volume(cli)["Status"]["Error"]
    done = cli("volume", "prune", "-a", "-f")
    assert "plain" in done.stdout
    assert "warning: volume data stays: no docker volume plugin 'shelf'" in done.stderr
    assert cli.ok("volume", "ls", "-q") == "data"


def test_a_container_can_be_removed_when_its_plugin_is_away(cli: Cli, shelf: Shelf) -> None:
    options = ("-v", "/data", "--volume-driver", "docker:shelf")
    cli.ok("run", "--name", "over", *options, "busybox", "true")
    cli.ok("wait", "over")
    wait_until(lambda: shelf.mounted == [], "it has ended")
    shelf.stop()
    done = cli("rm", "-v", "over")
    assert (done.returncode, done.stdout) == (0, "over\n")
    assert "warning: an anonymous volume of over stays: no docker volume plugin 'shelf'" in done.stderr
    assert cli.names() == []
    shelf.start()
    assert cli.ok("volume", "prune", "-f") != ""
    assert list((shelf.place / "volumes").iterdir()) == []


@pytest.mark.parametrize("fault", ["hang", "busy"])
def test_an_unmount_that_fails_is_told_and_done_by_gc(cli: Cli, shelf: Shelf, fault: str) -> None:
    shelf.fault(f"VolumeDriver.Unmount={fault}")
    cli.ok("run", "--name", "late", "--mount", MOUNT, "busybox", "true")
    wait_until(lambda: "cannot undo step attach" in cli.inspect("late")["State"]["Error"], "it is told")
    assert shelf.mounted != []
    assert "Unmount" in cli("gc").stderr
    shelf.fault("")
    cli.ok("gc")
    assert shelf.mounted == []


@pytest.mark.parametrize("when", ["it runs", "it starts"])
def test_a_supervisor_that_is_killed_leaves_nothing_mounted(cli: Cli, shelf: Shelf, when: str) -> None:
    if when == "it runs":
        cli.ok("run", "-d", "--name", "lost", "--mount", MOUNT, "busybox", "sleep", "99")
        os.kill(cli.supervisor("lost"), signal.SIGKILL)
    else:
        shelf.fault("VolumeDriver.Mount=hang")
        starting = cli.start("run", "--name", "lost", "--mount", MOUNT, "busybox", "true")
        wait_until(lambda: "Mount data" in shelf.calls("Mount"), "it is asked to mount")
        end(starting)
        shelf.fault("")
    wait_until(lambda: cli("gc").returncode == 0 and shelf.mounted == [], "it is unmounted")
    cli.ok("rm", "-f", "lost")


def test_one_whose_container_was_removed_meanwhile_is_unmounted_later(cli: Cli, shelf: Shelf) -> None:
    cli.ok("run", "-d", "--name", "gone", "--mount", MOUNT, "busybox", "sleep", "99")
    shelf.fault("VolumeDriver.Unmount=busy")
    cli.ok("rm", "-f", "gone")
    assert "still attached" in refused_rm(cli)
    shelf.fault("")
    cli.ok("gc")
    assert shelf.mounted == []
