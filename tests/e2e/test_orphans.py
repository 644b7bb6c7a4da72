"""Plugins that are removed or upgraded while containers use them: the containers go on, and say whose they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from ..installed import InstalledCli
from ..support import end, wait_until

pytestmark = [pytest.mark.root]

JAIL = "cmanager-jail"


@pytest.fixture(autouse=True)
def _no_plugin_stays(user: InstalledCli) -> Iterator[None]:
    yield
    user.site.restore()


@pytest.fixture
def orphan(theirs: InstalledCli) -> InstalledCli:
    """A container `box` whose runtime was removed while it ran, and `other`, which has nothing to do with that."""
    theirs.site.install(f"{JAIL}==1.0")
    begin(theirs, "box")
    theirs.ok("run", "-d", "--name", "other", "busybox", "sleep", "1000")
    theirs.site.uninstall(JAIL)
    return theirs


def begin(cli: InstalledCli, name: str) -> str:
    """A container that writes a line for each one it reads, and ends well on SIGTERM."""
    script = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done"
    id = cli.ok("run", "-d", "--name", name, "--runtime", "jail", "busybox", "sh", "-c", script)
    wait_until(lambda: cli("logs", name).stdout == "hello\n", "its first line")
    return id


def test_it_is_shown_with_the_plugin_that_is_missing(orphan: InstalledCli) -> None:
    rows = dict(line.split("\t") for line in orphan.ok("ps", "--format", "{{.Names}}\t{{.Status}}").splitlines())
    assert rows["box"].startswith("Up ")
    assert rows["box"].endswith(" (orphaned: runtime jail)")
    assert "orphaned" not in rows["other"]
    items = json.loads(orphan.ok("ps", "--output", "json"))["items"]
    assert {item["name"]: item["orphaned"] for item in items} == {"box": ["runtime jail"], "other": []}
    found = orphan.inspect("box")
    assert found["State"]["Orphaned"] == ["runtime jail"]
    assert found["State"]["Running"] is True
    assert found["Cmanager"]["Providers"]["runtime"] == {"Name": "jail", "Version": "cmanager-jail 1.0"}
    assert orphan.inspect("other")["State"]["Orphaned"] == []


def test_what_needs_the_plugin_says_what_to_install_and_changes_nothing(orphan: InstalledCli) -> None:
    for verb in (("exec", "box", "true"), ("restart", "box")):
        assert says_what_to_install(orphan(*verb)), verb
        assert orphan.inspect("box")["State"]["Running"] is True, verb
    done = orphan("run", "--runtime", "jail", "busybox", "true")
    assert (done.returncode, done.stderr.startswith("cmanager: no runtime plugin 'jail'")) == (125, True)
    assert sorted(orphan.names()) == ["box", "other"]
    pid = orphan.inspect("box")["State"]["Pid"]
    orphan.ok("rm", "-f", "box")
    assert orphan.names() == ["other"]
    assert not process_runs(pid)


def says_what_to_install(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a command failed with one line that names plugin, distribution and remedy."""
    (line,) = done.stderr.splitlines()
    words = ("runtime plugin 'jail'", "cmanager-jail 1.0", "install it")
    return done.returncode != 0 and all(word in line for word in words)


def test_what_needs_no_plugin_works(orphan: InstalledCli) -> None:
    id = orphan.inspect("box")["Id"]
    assert orphan.ok("logs", "box") == "hello"
    attached = orphan.start("attach", "--no-stdin", "box")
    waiting = orphan.start("wait", "box")
    told = ("events", "--since", "1h", "--until", "0s", "--filter", "event=attach")
    try:
        wait_until(lambda: orphan.ok(*told), "it is attached")
        assert orphan.ok("exec", "other", "echo", "well") == "well"
        orphan.ok("gc")
        orphan.ok("stop", "-t", "20", "box")
        assert waiting.communicate(timeout=20)[0] == b"0\n"
        assert attached.communicate(timeout=20)[0] == b"bye\n"
    finally:
        end(attached)
        end(waiting)
    assert orphan.ok("logs", "box") == "hello\nbye"
    assert orphan.inspect("box")["State"]["ExitCode"] == 0
    assert says_what_to_install(orphan("start", "box"))
    orphan.ok("rm", "box")
    assert orphan.names() == ["other"]
    assert not list(orphan.root.rglob(id))


def test_a_plugin_that_comes_back_has_its_containers_again(orphan: InstalledCli) -> None:
    orphan.site.install(f"{JAIL}==1.0")
    assert orphan.inspect("box")["State"]["Orphaned"] == []
    assert "orphaned" not in orphan.ok("ps", "--filter", "name=box", "--format", "{{.Status}}")
    assert orphan.ok("exec", "box", "echo", "inside") == "inside"
    orphan.ok("stop", "-t", "20", "box")
    assert orphan.ok("logs", "box") == "hello\nbye"
    orphan.ok("start", "box")
    orphan.ok("rm", "-f", "box")


def test_an_upgrade_goes_unnoticed_by_containers_that_run(theirs: InstalledCli) -> None:
    theirs.site.install(f"{JAIL}==1.0")
    begin(theirs, "box")
    begin(theirs, "second")
    pid = theirs.inspect("box")["State"]["Pid"]
    theirs.site.install(f"{JAIL}==1.1")
    found = theirs.inspect("box")
    assert (found["State"]["Pid"], found["State"]["Orphaned"]) == (pid, [])
    assert found["Cmanager"]["Providers"]["runtime"]["Version"] == "cmanager-jail 1.0", "it was made with that"
    assert theirs.ok("exec", "box", "echo", "inside") == "inside"
    theirs.ok("stop", "-t", "20", "box")
    assert theirs.inspect("box")["State"]["ExitCode"] == 0
    theirs.ok("start", "box")
    assert theirs.ok("exec", "box", "echo", "again") == "again"
    theirs.ok("rm", "-f", "box", "second")
    id = begin(theirs, "third")
    assert theirs.inspect(id)["Cmanager"]["Providers"]["runtime"]["Version"] == "cmanager-jail 1.1"


def test_a_network_that_is_removed_is_undone_when_it_is_back(theirs: InstalledCli) -> None:
    theirs.site.install("cmanager-lane")
    theirs.ok("run", "-d", "--name", "box", "--network", "lane", "busybox", "sleep", "1000")
    theirs.site.uninstall("cmanager-lane")
    assert theirs.inspect("box")["State"]["Orphaned"] == ["network lane"]
    assert theirs.ok("exec", "box", "echo", "inside") == "inside"
    theirs("rm", "-f", "box")
    assert theirs.names() == []
    theirs.site.install("cmanager-lane")
    theirs.ok("gc")
    theirs.ok("run", "--rm", "--network", "lane", "--ip", "10.244.77.2", "busybox", "true")


def process_runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
