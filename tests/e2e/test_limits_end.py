"""What a cgroup is needed for in the end: every process is found in it, and then it is gone as well."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cmanager.linux import cgroups

from ..disks import disk
from ..support import PATIENCE, Cli, end, wait_until

pytestmark = pytest.mark.root

#: Shells that never stop to start others; an interactive one goes on when it cannot.
_BOMB = "yes 'yes \"sleep 5 &\" | sh -i &' | sh -i 2>/dev/null"


def cgroup(cli: Cli, name: str) -> str:
    found: str = cli.inspect(name)["Cmanager"]["Cgroup"]
    return found


def there(path: str) -> list[str]:
    """The directories of a cgroup that are still there."""
    return [d for d in (h.path(path) for h in cgroups.hierarchies()) if os.path.exists(d)]


def test_a_fork_bomb_stops_at_its_limit_and_the_host_does_not(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "bomb", "--pids-limit", "64", "busybox", "sh", "-c", _BOMB)
    path = cgroup(cli, "bomb")
    pids = next(h for h in cgroups.hierarchies() if "pids" in h.controllers).path(path)

    def there_are() -> int:
        with open(f"{pids}/pids.current", encoding="ascii") as file:
            return int(file.read())

    wait_until(lambda: there_are() >= 60, "it has filled its cgroup")
    seen = []
    for _ in range(20):
        seen.append(there_are())
        time.sleep(0.02)
    assert max(seen) <= 64
    assert statistics.median(seen) >= 40, "it goes on"
    assert [subprocess.run(["true"], check=False).returncode for _ in range(20)] == [0] * 20
    began = time.monotonic()
    cli.ok("rm", "-f", "bomb")
    assert time.monotonic() - began < 5 * PATIENCE
    assert there(path) == []


@pytest.mark.parametrize(
    "words", [("busybox", "no-such-program"), ("--workdir", "/etc/passwd", "busybox", "true")], ids=["program", "place"]
)
def test_a_start_that_fails_leaves_none(cli: Cli, words: tuple[str, ...]) -> None:
    beside = cli.ok("run", "-d", "--name", "beside", "busybox", "sleep", "1000")
    parent = os.path.dirname(cgroup(cli, "beside"))
    assert cli("run", "--name", "fails", *words).returncode in (125, 126, 127)
    assert {n for d in there(parent) for n in os.listdir(d) if os.path.isdir(f"{d}/{n}")} == {beside}


@pytest.mark.parametrize("verb", [("gc",), ("rm", "doomed")], ids=["gc", "rm"])
def test_it_goes_although_everything_was_killed(cli: Cli, verb: tuple[str, ...]) -> None:
    cli.ok("run", "-d", "--name", "doomed", "busybox", "sh", "-c", "sleep 1000 & sleep 1000")
    path, init, supervisor = cgroup(cli, "doomed"), cli.inspect("doomed")["State"]["Pid"], cli.supervisor("doomed")
    for pid in (supervisor, init):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{init}"), "the container is dead")
    cli.ok(*verb)
    assert there(path) == []


def test_who_was_put_into_it_from_outside_ends_with_it(cli: Cli) -> None:
    """A process of another pid namespace, which the end of the container's first process does not end."""
    cli.ok("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    path = cgroup(cli, "host")
    straggler = subprocess.Popen(["sleep", "1000"])
    try:
        cgroups.join_all(path, straggler.pid)
        cli.ok("rm", "-f", "host")
        assert straggler.wait(5 * PATIENCE) == -signal.SIGKILL
        assert there(path) == []
    finally:
        end(straggler)


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[Callable[[str], threading.Event]]:
    """Puts a process into a cgroup that no signal reaches, until the event it returns is set.

    It writes to a file system that is frozen (fsfreeze(8)), and waits uninterruptibly.
    """
    place = tmp_path / "frozen"
    place.mkdir()
    let_go = threading.Event()
    started: list[subprocess.Popen[bytes]] = []
    thaws: list[threading.Thread] = []

    def put(path: str) -> threading.Event:
        subprocess.run(["fsfreeze", "--freeze", place], check=True)
        thaws.append(threading.Thread(target=thaw))
        thaws[0].start()
        started.append(
            subprocess.Popen(["dd", "if=/dev/zero", f"of={place}/file", "count=1"], stderr=subprocess.DEVNULL)
        )
        cgroups.join_all(path, started[0].pid)
        wait_until(lambda: state(started[0].pid) == "D", "it waits for the file system")
        return let_go

    def thaw() -> None:
        let_go.wait(120)
        subprocess.run(["fsfreeze", "--unfreeze", place], check=True)

    with disk(tmp_path, 16) as node:
        subprocess.run(["mkfs.ext4", "-q", node], check=True)
        subprocess.run(["mount", node, place], check=True)
        try:
            yield put
        finally:
            let_go.set()
            for thread in thaws:
                thread.join()
            for process in started:
                end(process)
            subprocess.run(["umount", place], check=True)


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_who_cannot_die_yet_delays_its_end(cli: Cli, stuck: Callable[[str], threading.Event]) -> None:
    cli.ok("run", "-d", "--name", "held", "busybox", "sleep", "1000")
    path = cgroup(cli, "held")
    let_go = stuck(path)
    threading.Timer(1, let_go.set).start()
    cli.ok("rm", "-f", "held")
    assert let_go.is_set()
    assert there(path) == []


@pytest.mark.slow
def test_who_does_not_die_at_all_is_told_of_and_gc_does_the_rest(
    cli: Cli, stuck: Callable[[str], threading.Event]
) -> None:
    cli.ok("run", "-d", "--name", "held", "busybox", "sleep", "1000")
    path = cgroup(cli, "held")
    let_go = stuck(path)
    done = cli("rm", "-f", "held")
    assert (done.returncode, done.stdout) == (0, "held\n")
    assert done.stderr.startswith("cmanager: warning: the cgroup of held stays until `cmanager gc` can remove it: ")
    assert done.stderr.count("\n") == 1
    assert path in done.stderr
    let_go.set()
    wait_until(lambda: not any(cgroups.processes(path)), "the straggler is gone")
    cli.ok("gc")
    assert there(path) == []
