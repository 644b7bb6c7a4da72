"""Slots: a network and a cgroup that are ready when a container comes, and go when nobody wants them any more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import servers
from ..pools import Pool, linked, places, pool
from ..support import Cli, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def cli(machine: Cli, tmp_path: Path) -> Iterator[Pool]:
    with pool(machine, tmp_path / "run") as made:
        yield made


def test_the_next_container_like_it_takes_the_slot_with_its_id(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    ready = cli.one()
    id = cli.ok("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert id == ready
    address = cli.inspect("box")["NetworkSettings"]["IPAddress"]
    assert address in cli.ok("exec", "box", "ip", "address", "show", "eth0")
    assert cli.one() != ready, "another one is made for the next"
    cli.ok("rm", "-f", "box")
    assert not linked(ready)


def test_it_is_limited_watched_and_confined_as_any_other(cli: Pool) -> None:
    cli.ok("run", "--rm", "--memory", "64m", "--pids-limit", "50", "busybox", "true")
    ready = cli.one()
    script = "cat /proc/self/cgroup; grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status; ulimit -n"
    words = ("--memory", "64m", "--pids-limit", "50", "--ulimit", "nofile=77:77", "busybox", "sh", "-c", script)
    one = cli.ok("run", "--rm", "--name", "one", *words)
    two = cli.ok("run", "--rm", "--name", "two", *words, env={"CMANAGER_POOL": "0"})
    assert one == two, "there is nothing by which a container knows"
    box = cli.ok("run", "-d", "--memory", "64m", "--pids-limit", "50", "--name", "box", "busybox", "sleep", "1000")
    assert box != ready, "which the first has used up"
    (usage,) = json.loads(cli.ok("stats", "--no-stream", "--output", "json", "box"))["items"]
    assert usage["usage"]["memory_limit_bytes"] == 64 << 20
    assert usage["usage"]["pids_limit"] == 50


def test_one_with_other_limits_takes_it_and_has_its_own(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    ready = cli.one()
    assert cli.ok("run", "-d", "--name", "box", "--memory", "32m", "busybox", "sleep", "1000") == ready
    (usage,) = json.loads(cli.ok("stats", "--no-stream", "--output", "json", "box"))["items"]
    assert usage["usage"]["memory_limit_bytes"] == 32 << 20


@pytest.mark.parametrize(
    "asked",
    [
        ("--network", "none"),
        ("--network", "host"),
        ("--publish", "127.0.0.1:0:80"),
        ("--ip", "10.88.77.7"),
        ("--userns", "auto"),
        ("--network-rate", "10mbit"),
    ],
    ids=" ".join,
)
def test_one_that_it_is_not_fit_for_is_made_its_own(
    cli: Pool, asked: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    if "--userns" in asked:
        request.getfixturevalue("user_namespaces")
    cli.ok("run", "--rm", "busybox", "true")
    ready = cli.one()
    assert cli.ok("run", "-d", *asked, "busybox", "sleep", "1000") != ready
    if "--ip" not in asked:  # for that all are given back, one of them might have it
        assert ready in cli.slots(), "it waits for another"


def test_one_below_another_cgroup_takes_it_and_is_there(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    ready, parent = cli.one(), f"/cmanager-{os.getpid()}"
    assert cli.ok("run", "-d", "--cgroup-parent", parent, "busybox", "sleep", "1000") == ready
    init = json.loads(cli.ok("inspect", ready))[0]["State"]["Pid"]
    assert f"{parent}/{ready}\n" in Path(f"/proc/{init}/cgroup").read_text(encoding="ascii")


def test_an_address_that_a_slot_has_is_given_to_who_asks_for_it(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    cli.one()
    (taken,) = os.listdir(cli.run_root / "network/bridge/cmanager0/addresses")
    assert taken in cli.ok("run", "--rm", "--ip", taken, "busybox", "ip", "address", "show", "eth0")


def test_the_last_address_is_no_slots(cli: Pool, tmp_path: Path) -> None:
    cli.config = tmp_path / "plugins.toml"
    cli.config.write_text('[network.bridge]\nname = "tiny0"\nsubnet = "10.88.250.0/30"\n')
    cli.ok("run", "--rm", "busybox", "true")
    cli.one()
    assert cli.ok("run", "--rm", "--publish", "127.0.0.1:0:80", "busybox", "echo", "room") == "room"


def test_a_container_whose_start_was_given_up_starts_again_at_once(cli: Pool) -> None:
    """What is left of its slot is not taken away under it."""
    cli.ok("run", "--rm", "busybox", "true")
    ready = cli.one()
    failed = cli("run", "--name", "box", "busybox", "/nowhere")
    assert failed.returncode == 127
    assert "/nowhere" in cli("start", "box").stderr
    assert cli.inspect("box")["Id"] == ready
    wait_until(lambda: not linked(ready), "nothing is left of it")


def test_a_keeper_that_is_killed_between_does_not_fail_the_container(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    for number in (signal.SIGKILL, signal.SIGSTOP):
        keeper = cli.keeper(cli.one())
        keeper.send(number)
        assert cli.ok("run", "--rm", "busybox", "echo", "here") == "here"
        keeper.send(signal.SIGKILL)
        assert keeper.wait_gone(5)
        cli.ok("gc")


def test_a_slot_is_never_used_twice(cli: Pool) -> None:
    seen = set()
    for _ in range(5):
        using = "ip address add 192.0.2.1/32 dev lo && ip address show lo"
        assert "192.0.2.1" in cli.ok("run", "--rm", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c", using)
        seen.add(cli.one())
        assert "192.0.2.1" not in cli.ok("run", "--rm", "busybox", "ip", "address", "show", "lo")
    assert len(seen) == 5


def test_many_at_once_each_have_their_own(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    cli.one()
    words = ("run", "--rm", "busybox", "sh", "-c", "hostname; ip -o -4 address show eth0")
    started = [cli.start(*words) for _ in range(8)]
    outputs = [process.communicate(timeout=60)[0].decode().split() for process in started]
    assert all(process.returncode == 0 for process in started)
    assert len({words[0] for words in outputs}) == 8
    assert len({words[4] for words in outputs}) == 8, "no address is given twice"


def test_a_start_that_fails_leaves_nothing_of_it(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    for words, code in ((("busybox", "/nowhere"), 127), (("nothing-like-it", "true"), 125)):
        ready = cli.one()
        assert cli("run", "--rm", *words).returncode == code
        wait_until(lambda ready=ready: not linked(ready) and places(ready) == ["/nowhere"], "it is undone")


def test_a_client_that_is_killed_leaves_nothing_of_it(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    for _ in range(4):
        ready = cli.one()
        process = cli.start("run", "--rm", "busybox", "true")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        cli.ok("ps", "-a")
        cli.ok("run", "--rm", "busybox", "true")
        wait_until(lambda ready=ready: ready in cli.slots() or not linked(ready), "it is kept, or undone")


def test_gc_pools_gives_it_back(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    ready = cli.one()
    assert "Undone" not in cli.ok("gc"), "what is kept is not what a crash left"
    assert cli.slots() == [ready]
    assert f"Undone: {ready}" in cli.ok("gc", "--pools")
    assert cli.none_left()
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert "cmanager0" not in links, "the bridge goes with the last that needs it"
    cli.ok("run", "--rm", "busybox", "true")
    assert cli.one() != ready, "the next container has one made again"


def test_it_goes_with_the_server_however_that_ends(cli: Pool) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        servers.begin(cli)
        cli.ok("run", "--rm", "busybox", "true")
        cli.one()
        os.kill(servers.pid(cli), number)
        wait_until(cli.none_left, f"nothing is left after {number.name}")


def test_what_a_killed_keeper_leaves_is_found_by_gc(cli: Pool) -> None:
    cli.ok("run", "--rm", "busybox", "true")
    ready = cli.one()
    cli.keeper(ready).send(signal.SIGKILL)
    assert cli.keeper(ready).wait_gone(5)
    assert f"Undone: {ready}" in cli.ok("gc")
    assert cli.none_left()
    cli.ok("run", "--rm", "busybox", "true")
    cli.one()


def test_an_environment_with_no_pool_gets_none(cli: Pool) -> None:
    for _ in range(3):
        cli.ok("run", "--rm", "busybox", "true", env={"CMANAGER_POOL": "0"})
    assert cli.slots() == []
    refused = cli("ps", env={"CMANAGER_POOL": "many"})
    assert refused.returncode == 125
    assert refused.stderr == "cmanager: CMANAGER_POOL=many in the environment is no whole number of slots, 0 for none\n"


_PROGRAM = """
import os, sys, time
from cmanager import Engine
from cmanager.model import RunRequest
engine, nowhere = Engine(sys.argv[1], sys.argv[2]), os.open(os.devnull, os.O_RDWR)
for line in sys.stdin:
    session = engine.run(RunRequest("busybox", command=("hostname",), remove=True), attached=True)
    print(session.container.id, session.pump(-1, nowhere, nowhere), flush=True)
"""


def test_a_program_that_uses_the_api_has_them_too(cli: Pool) -> None:
    """From its second container on, until it ends."""
    words = [sys.executable, "-P", "-c", _PROGRAM, str(cli.root), str(cli.run_root)]
    program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=cli.environment)
    assert program.stdin
    assert program.stdout
    try:
        ready = ""
        for _ in range(3):
            program.stdin.write("\n")
            program.stdin.flush()
            id, code = program.stdout.readline().split()
            assert code == "0"
            assert ready in ("", id)
            ready = cli.one()
    finally:
        program.stdin.close()
        program.wait(30)
    wait_until(cli.none_left, "what was kept is gone with the program")


def test_a_slot_is_kept_for_each_of_the_last_kinds(cli: Pool) -> None:
    kinds = (("--network", "bridge"), ("--network", "none"), ("--network", "bridge", "--memory", "64m"))
    for words in kinds:
        cli.ok("run", "--rm", *words, "busybox", "true")
    notes = cli.run_root / "slots"

    def whole() -> bool:
        ids = os.listdir(notes)
        return len(ids) == len(kinds) and all(map(os.path.isdir, (place for id in ids for place in places(id))))

    wait_until(whole, "each has one")
    ready = set(os.listdir(notes))
    # When one was taken the next is made, so only of those on different networks it is known which they take.
    taken = {cli.ok("run", "-d", *words, "busybox", "sleep", "1000") for words in kinds[:2]}
    assert len(taken) == 2
    assert taken < ready
