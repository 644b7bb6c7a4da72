"""The log of a container: rotation, more places than one, and receivers that do not listen."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ..support import Cli, end, journal_fields, wait_until

pytestmark = pytest.mark.root

#: Counts without a child process for each line.
_COUNT = "i=0; while [ $i -lt {0} ]; do echo line $i; i=$((i+1)); done"


def numbers(last: int) -> str:
    return "".join(f"line {number}\n" for number in range(last))


def files(cli: Cli, identity: str) -> dict[str, int]:
    """The files of a container's log, each with its size."""
    home = cli.root / "containers" / identity
    return {path.name: path.stat().st_size for path in home.iterdir() if path.name.startswith("log")}


def sinks(cli: Cli, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cli.inspect(name)["Cmanager"]["LogSinks"]
    return found


class Receiver:
    """A datagram socket that reads all it gets, or nothing until it is told to."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.got: list[bytes] = []

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.end.close()

    @classmethod
    def at(cls, path: Path) -> Receiver:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        end.bind(str(path))
        return cls(end)

    def read(self, until: int) -> None:
        """Read until there are so many messages."""
        self.end.settimeout(20)
        while len(self.got) < until:
            self.got.append(self.end.recv(65536))


def test_rotation_keeps_the_newest_within_its_bound(cli: Cli) -> None:
    bound = ("--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    identity = cli.ok("run", "-d", "--name", "long", *bound, "busybox", "sh", "-c", _COUNT.format(5000))
    cli.ok("wait", "long")
    assert sorted(files(cli, identity)) == ["log", "log.1", "log.2"]
    assert sum(files(cli, identity).values()) <= 3 * 20 << 10
    shown = cli.ok("logs", "long") + "\n"
    assert 800 < shown.count("\n") < 1300
    assert numbers(5000).endswith(shown)
    assert cli.ok("logs", "--tail", "800", "long").splitlines() == numbers(5000).splitlines()[-800:]
    assert cli.inspect("long")["HostConfig"]["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": str(20 << 10), "max-file": "3"},
    }


def test_without_options_nothing_is_ever_removed(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--name", "all", "busybox", "sh", "-c", _COUNT.format(5000))
    cli.ok("wait", "all")
    assert list(files(cli, identity)) == ["log"]
    assert cli.ok("logs", "all") + "\n" == numbers(5000)


def test_since_and_until_go_across_files(cli: Cli) -> None:
    script = "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.05; done"
    bound = ("--log-opt", "max-size=60", "--log-opt", "max-file=9")
    identity = cli.ok("run", "-d", "--name", "timed", *bound, "busybox", "sh", "-c", script)
    cli.ok("wait", "timed")
    assert len(files(cli, identity)) == 6
    pairs = [line.split(" ", 1) for line in cli.ok("logs", "-t", "timed").splitlines()]
    assert [line for _, line in pairs] == [f"line {number}" for number in range(1, 7)]
    # Lines that were read at once have one time.
    (first, _), (last, _) = pairs[1], pairs[4]
    found = cli.ok("logs", "--since", first, "--until", last, "timed")
    assert found.splitlines() == [line for stamp, line in pairs if first <= stamp <= last]
    found = cli.ok("logs", "--until", last, "--tail", "2", "timed")
    assert found.splitlines() == [line for stamp, line in pairs if stamp <= last][-2:]


def test_who_follows_sees_every_line_once_whatever_rotates(cli: Cli) -> None:
    """The follower sleeps while the log is rotated five times, twice."""
    script = "while read n; do i=0; while [ $i -lt 100 ]; do echo $n $i; i=$((i+1)); done; done"
    bound = ("--log-opt", "max-size=1k", "--log-opt", "max-file=30")
    cli.ok("run", "-di", "--name", "followed", *bound, "busybox", "sh", "-c", script)
    writer, following = cli.start("attach", "followed"), cli.start("logs", "-f", "followed")
    assert writer.stdin
    assert following.stdout
    try:
        os.set_blocking(following.stdout.fileno(), True)
        for burst in "abcd":
            if burst in "bd":
                following.send_signal(signal.SIGSTOP)
            writer.stdin.write(f"{burst}\n".encode())
            writer.stdin.flush()
            wait_until(lambda burst=burst: cli.ok("logs", "--tail", "1", "followed") == f"{burst} 99", "it is written")
            following.send_signal(signal.SIGCONT)
            for number in range(100):
                assert following.stdout.readline() == f"{burst} {number}\n".encode()
        cli.ok("kill", "followed")
        assert following.communicate(timeout=30)[0] == b""
    finally:
        end(writer)
        end(following)


def test_following_ends_when_its_time_is_over(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "endless", "busybox", "sh", "-c", "echo begun; sleep 1000")
    assert cli.ok("logs", "-f", "--until", f"{time.time() + 1:.3f}", "endless") == "begun"
    assert cli.inspect("endless")["State"]["Running"] is True


def test_the_lives_of_a_restarting_container_append(cli: Cli) -> None:
    bound = ("--log-opt", "max-size=300", "--log-opt", "max-file=50")
    script = "echo begun; exit 3"
    cli.ok("run", "-d", "--name", "lives", "--restart", "on-failure:3", *bound, "busybox", "sh", "-c", script)
    assert cli.ok("wait", "lives") == "3"
    assert cli.ok("logs", "lives").split() == ["begun"] * 4
    cli.ok("start", "lives")
    cli.ok("wait", "lives")
    assert cli.ok("logs", "lives").split() == ["begun"] * 8


def test_two_sinks_get_every_byte(cli: Cli, tmp_path: Path) -> None:
    places = (f"file:{tmp_path}/text", f"json:{tmp_path}/json")
    options = [word for place in places for word in ("--log-sink", place)]
    cli.ok("run", "-d", "--name", "twice", *options, "busybox", "sh", "-c", "seq 100000; printf end")
    cli.ok("wait", "twice")
    written = "".join(f"{number}\n" for number in range(1, 100_001)) + "end"
    assert (tmp_path / "text").read_text() == written
    entries = [json.loads(line) for line in (tmp_path / "json").read_text().splitlines()]
    assert "".join(entry["log"] for entry in entries) == written
    assert {entry["stream"] for entry in entries} == {"stdout"}
    assert cli.ok("logs", "twice") == written
    assert [sink["Dropped"] for sink in sinks(cli, "twice")] == [{"Lines": 0, "Bytes": 0}] * 2


def test_sinks_go_on_when_the_command_is_killed(cli: Cli, tmp_path: Path) -> None:
    script = "echo ready; until [ -e /mnt/killed ]; do sleep 0.02; done; seq 20000"
    options = ("-v", f"{tmp_path}:/mnt", "--log-sink", f"file:{tmp_path}/text")
    running = cli.start("run", "--name", "alone", *options, "busybox", "sh", "-c", script)
    try:
        wait_until(lambda: (tmp_path / "text").exists() and (tmp_path / "text").read_bytes(), "it runs")
    finally:
        end(running)
    (tmp_path / "killed").touch()
    assert cli.ok("wait", "alone") == "0"
    assert (tmp_path / "text").read_text().split() == ["ready", *map(str, range(1, 20001))]


def test_syslog_and_journald_get_a_message_for_each_line(cli: Cli, tmp_path: Path) -> None:
    options = ("--log-sink", f"syslog:unix:{tmp_path}/log", "--log-sink", f"journald:{tmp_path}/journal")
    script = r"echo one; sleep 0.1; printf 'two\377' >&2"
    with Receiver.at(tmp_path / "log") as syslog, Receiver.at(tmp_path / "journal") as journal:
        cli.ok("run", "-d", "--name", "told", *options, "busybox", "sh", "-c", script)
        syslog.read(2)
        journal.read(2)
    identity = cli.inspect("told")["Id"]
    assert syslog.got[0].startswith(b"<30>1 ")
    assert syslog.got[0].endswith(f" told {identity[:12]} - - one".encode())
    assert syslog.got[1].startswith(b"<27>1 ")
    assert syslog.got[1].endswith(b" - - two\xff")
    first, second = map(journal_fields, journal.got)
    assert (first["MESSAGE"], first["PRIORITY"]) == (b"one", b"6")
    assert (second["MESSAGE"], second["PRIORITY"]) == (b"two\xff", b"3")
    assert (first["CONTAINER_NAME"], first["CONTAINER_ID"]) == (b"told", identity[:12].encode())


def test_dockers_drivers_are_sinks_beside_a_bounded_log(cli: Cli) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end, Receiver(end) as receiver:
        end.bind(("127.0.0.1", 0))
        address = f"syslog-address=udp://127.0.0.1:{end.getsockname()[1]}"
        options = ("--log-driver", "syslog", "--log-opt", address)
        cli.ok("run", "-d", "--name", "sent", *options, "busybox", "echo", "hello")
        receiver.read(1)
        assert receiver.got[0].endswith(b" - - hello")
    cli.ok("wait", "sent")
    assert cli.ok("logs", "sent") == "hello"
    assert cli.inspect("sent")["HostConfig"]["LogConfig"]["Config"] == {"max-size": str(20 << 20), "max-file": "5"}


def test_a_receiver_that_never_reads_stops_nobody_and_is_counted(cli: Cli, tmp_path: Path) -> None:
    """2 MB to a FIFO nobody opens, to a socket nobody reads, and to a file that takes all."""
    os.mkfifo(tmp_path / "fifo")
    places = (f"file:{tmp_path}/fifo", f"syslog:unix:{tmp_path}/log", f"file:{tmp_path}/text")
    options = [word for place in places for word in ("--log-sink", place)]
    script = "yes 0123456789abcdef0123456789abcdef | head -n 60000; exit 4"
    with Receiver.at(tmp_path / "log"):
        done = cli("run", "--name", "deaf", *options, "busybox", "sh", "-c", script)
        assert (done.returncode, done.stdout.count("\n")) == (4, 60000)
    fifo, syslog, text = sinks(cli, "deaf")
    assert (fifo["Kind"], fifo["Target"], fifo["Dropped"]["Lines"]) == ("file", f"{tmp_path}/fifo", 60000)
    assert fifo["Dropped"]["Bytes"] == 60000 * 33
    assert 59000 < syslog["Dropped"]["Lines"] < 60000  # the socket holds some
    assert text["Dropped"] == {"Lines": 0, "Bytes": 0}
    assert (tmp_path / "text").stat().st_size == 60000 * 33
    assert cli.ok("logs", "deaf").count("\n") + 1 == 60000
    warnings = cli.inspect("deaf")["Cmanager"]["Warnings"]
    assert [f"file:{tmp_path}/fifo did not take 60000 lines" in warnings[0], len(warnings)] == [True, 2]


def test_a_receiver_that_comes_back_gets_what_was_kept_and_the_loss_is_told_meanwhile(cli: Cli, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    script = "yes 0123456789abcdef | head -n 30000; read word; echo $word; echo more"
    options = ("--log-sink", f"file:{tmp_path}/fifo")
    cli.ok("run", "-di", "--name", "patient", *options, "busybox", "sh", "-c", script)
    wait_until(lambda: sinks(cli, "patient")[0]["Dropped"]["Lines"] > 20000, "what is dropped is told while it runs")
    lost = sinks(cli, "patient")[0]["Dropped"]["Lines"]
    reader = subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout
        for _ in range(30000 - lost):
            assert reader.stdout.readline() == "0123456789abcdef\n"
        cli.ok("attach", "patient", stdin="late\n")
        assert cli.ok("wait", "patient") == "0"
        assert reader.communicate(timeout=30)[0] == "late\nmore\n"
    finally:
        reader.kill()
        reader.communicate()
    assert sinks(cli, "patient")[0]["Dropped"]["Lines"] == lost


def test_a_syslog_daemon_may_restart(cli: Cli, tmp_path: Path) -> None:
    options = ("--log-sink", f"syslog:unix:{tmp_path}/log")
    with Receiver.at(tmp_path / "log") as first:
        cli.ok("run", "-di", "--name", "loyal", *options, "busybox", "sh", "-c", "echo one; cat")
        first.read(1)
    (tmp_path / "log").unlink()
    writer = cli.start("attach", "loyal")
    try:
        assert writer.stdin
        writer.stdin.write(b"two\n")
        writer.stdin.flush()
        wait_until(lambda: cli.ok("logs", "loyal").split() == ["one", "two"], "it is in the log")
        with Receiver.at(tmp_path / "log") as second:
            second.read(1)
            assert second.got[0].endswith(b" - - two")
    finally:
        end(writer)
    assert sinks(cli, "loyal")[0]["Dropped"] == {"Lines": 0, "Bytes": 0}


def program(tmp_path: Path, script: str) -> tuple[str, str]:
    """The options for a program that runs this script, in the test's directory."""
    path = tmp_path / "ship"
    path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
    path.chmod(0o755)
    return ("--log-sink", f"program:{path}")


def running(word: str) -> list[str]:
    return subprocess.run(["pgrep", "-f", word], capture_output=True, text=True).stdout.split()


def test_a_program_gets_every_line_and_has_time_to_end(cli: Cli, tmp_path: Path) -> None:
    options = program(tmp_path, "cat > got; sleep 0.3; echo flushed > end; echo 'all sent' >&2")
    cli.ok("run", "-d", "--name", "shipped", *options, "busybox", "seq", "10000")
    cli.ok("wait", "shipped")
    warning = f"log sink {options[1]}: all sent"
    wait_until(lambda: cli.inspect("shipped")["Cmanager"]["Warnings"] == [warning], "what it said is told")
    assert (tmp_path / "end").read_text() == "flushed\n"
    entries = [json.loads(line) for line in (tmp_path / "got").read_text().splitlines()]
    assert "".join(entry["log"] for entry in entries) == "".join(f"{number}\n" for number in range(1, 10_001))
    assert sinks(cli, "shipped")[0]["Dropped"] == {"Lines": 0, "Bytes": 0}


@pytest.mark.parametrize(
    "script",
    [
        "exec sleep 4711",
        "exit 3",
        pytest.param("exec <&-; sleep 4711", marks=pytest.mark.slow),
        pytest.param("head -c 99; exit 0", marks=pytest.mark.slow),
    ],
)
def test_a_program_that_does_not_read_stops_nobody_and_is_counted(cli: Cli, tmp_path: Path, script: str) -> None:
    options = program(tmp_path, script)
    command = "yes 0123456789abcdef0123456789abcdef | head -n 60000; exit 4"
    done = cli("run", "--name", "deaf", *options, "busybox", "sh", "-c", command)
    assert (done.returncode, done.stdout.count("\n")) == (4, 60000)
    lost = sinks(cli, "deaf")[0]["Dropped"]
    assert 50000 < lost["Lines"] <= 60000
    assert lost["Bytes"] == lost["Lines"] * 33
    assert any(f"{options[1]} did not take" in warning for warning in cli.inspect("deaf")["Cmanager"]["Warnings"])
    assert running("sleep 4711") == []


def test_a_program_that_ends_is_started_again_and_gets_what_waits(cli: Cli, tmp_path: Path) -> None:
    options = program(tmp_path, "head -n 1 >> got; exit 1")
    cli.ok("run", "-d", "--name", "short", *options, "busybox", "sleep", "99")
    for word in ("one", "two"):
        cli.ok("exec", "short", "sh", "-c", f"echo {word} > /proc/1/fd/1")
        wait_until(
            lambda word=word: (tmp_path / "got").exists() and word in (tmp_path / "got").read_text(), "it got it"
        )
    cli.ok("rm", "-f", "short")


def test_a_program_stays_through_the_restarts_of_a_policy(cli: Cli, tmp_path: Path) -> None:
    options = program(tmp_path, "echo begun >> starts; cat > got")
    cli.ok(
        "run", "-d", "--name", "again", "--restart", "on-failure:2", *options, "busybox", "sh", "-c", "echo x; exit 3"
    )
    assert cli.ok("wait", "again") == "3"
    wait_until(lambda: (tmp_path / "got").read_text().count('"log":"x') == 3, "it got every life's line")
    assert (tmp_path / "starts").read_text() == "begun\n"


def test_nothing_of_a_program_outlives_its_supervisor(cli: Cli, tmp_path: Path) -> None:
    options = program(tmp_path, "setsid sleep 4712 & sleep 4712")
    cli.ok("run", "-d", "--name", "lost", *options, "busybox", "sh", "-c", "echo begun; sleep 99")
    wait_until(lambda: len(running("^sleep 4712")) == 2, "the program runs")
    os.kill(cli.supervisor("lost"), signal.SIGKILL)
    wait_until(lambda: running("sleep 4712") == [], "it is gone with its children")
    cli.ok("rm", "-f", "lost")


def test_nothing_of_a_program_is_left_after_rm(cli: Cli, tmp_path: Path) -> None:
    options = program(tmp_path, "trap '' TERM HUP; sleep 4713 & cat > got; sleep 4713")
    cli.ok("run", "-d", "--rm", "--name", "stubborn", *options, "busybox", "sh", "-c", "echo begun; sleep 99")
    wait_until(lambda: running("^sleep 4713"), "the program runs")
    cli.ok("rm", "-f", "stubborn")
    assert running("sleep 4713") == []
    assert "begun" in (tmp_path / "got").read_text()


def test_a_full_disk_stops_nobody_and_is_used_again_when_there_is_room(cli: Cli, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        (disk / "ballast").write_bytes(bytes(48 << 10))
        options = ("--log-sink", f"file:{disk}/text")
        script = "yes 0123456789abcde | head -n 2000; echo; cat"
        cli.ok("run", "-di", "--name", "crowded", *options, "busybox", "sh", "-c", script)
        wait_until(lambda: cli.ok("logs", "crowded").count("\n") >= 1999, "it was not held up")
        assert (disk / "text").stat().st_size <= 16 << 10
        (disk / "ballast").unlink()
        wait_until(lambda: (disk / "text").stat().st_size == 32001, "the rest is there")
        assert (disk / "text").read_text() == "0123456789abcde\n" * 2000 + "\n"
        cli.ok("rm", "-f", "crowded")
    finally:
        cli("rm", "-f", "crowded")
        subprocess.run(["umount", disk], check=True)


def test_no_log_says_so_and_sinks_work_without_one(cli: Cli, tmp_path: Path) -> None:
    options = ("--log-driver", "none", "--log-sink", f"file:{tmp_path}/text")
    identity = cli.ok("run", "-d", "--name", "silent", *options, "busybox", "echo", "hello")
    cli.ok("wait", "silent")
    refused = cli("logs", "silent")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--log-driver none" in refused.stderr
    assert files(cli, identity) == {}
    assert (tmp_path / "text").read_text() == "hello\n"
    cli.ok("rm", "silent")
    assert cli("logs", "silent").returncode == 1


def test_details_are_the_labels_and_variables_that_were_asked_for(cli: Cli) -> None:
    asked = ("--log-opt", "labels=tier,missing", "--log-opt", "env=A,PATH")
    cli.ok("run", "-d", "--name", "known", "-l", "tier=a b", "-e", "A=1", *asked, "busybox", "echo", "hello")
    cli.ok("wait", "known")
    details, word = cli.ok("logs", "--details", "known").split()
    assert (details[:4], word) == ("A=1,", "hello")
    assert details.endswith(",tier=a+b")
    stamped = cli.ok("logs", "--details", "-t", "known").split()
    assert (stamped[0][-1], stamped[1:]) == ("Z", [details, "hello"])
    cli.ok("run", "-d", "--name", "plain", "busybox", "echo", "hello")
    cli.ok("wait", "plain")
    assert cli.ok("logs", "--details", "plain") == " hello"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--log-driver", "fluentd"), ("fluentd", "json-file", "journald")),
        (("--log-opt", "max-sze=1m"), ("max-sze", "max-size")),
        (("--log-opt", "max-size=many"), ("many",)),
        (("--log-opt", "max-file=3"), ("max-file", "max-size")),
        (("--log-opt", "max-file=0", "--log-opt", "max-size=1m"), ("max-file",)),
        (("--log-driver", "none", "--log-opt", "max-size=1m"), ("none", "max-size")),
        (("--log-driver", "syslog", "--log-opt", "syslog-address=unix:///nowhere/log"), ("/nowhere/log",)),
        (("--log-driver", "journald", "--log-opt", "tag=x"), ("tag", "labels")),
        (("--log-sink", "kafka:there"), ("kafka", "journald")),
        (("--log-sink", "file:/nowhere/log"), ("/nowhere",)),
        (("--log-sink", "syslog:unix:/nowhere"), ("/nowhere",)),
        (("--log-sink", "journald:/nowhere"), ("/nowhere",)),
        (("--log-sink", "program:/nowhere"), ("/nowhere", "none")),
        (("--log-sink", "program:/etc/passwd"), ("/etc/passwd", "cannot be executed")),
        (("--log-sink", "file:/tmp/x", "--log-sink", "json:/tmp/x"), ("/tmp/x",)),
    ],
)
def test_what_cannot_be_honoured_is_refused_before_anything_is_made(
    cli: Cli, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused = cli("create", "--name", "refused", *options, "busybox")
    assert refused.returncode == 125
    assert all(word in refused.stderr for word in words), refused.stderr
    assert refused.stderr.count("\n") == 1
    assert cli.names() == []
