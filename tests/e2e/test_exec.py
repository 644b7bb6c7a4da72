"""`exec`: one more program, exactly as confined as the container it runs in."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from ..support import Cli, end, wait_until

pytestmark = pytest.mark.root

_KINDS = ("mnt", "pid", "uts", "ipc", "net", "cgroup", "user", "time")
_STATUS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups")


@pytest.fixture
def host(cli: Cli) -> str:
    """A container that waits."""
    cli.ok("run", "-d", "--name", "host", "-e", "GIVEN=yes", "-w", "/tmp", "busybox", "sleep", "1000")
    return "host"


def facts(text: str) -> dict[str, str]:
    found = (line.partition(":") for line in text.splitlines())
    return {key: " ".join(value.split()) for key, _, value in found if key in _STATUS}


def test_codes_streams_and_input(cli: Cli, host: str) -> None:
    done = cli("exec", host, "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.returncode, done.stdout, done.stderr) == (42, "out\n", "err\n")
    assert cli("exec", host, "sh", "-c", "kill -9 $$").returncode == 137
    missing = cli("exec", host, "nothing-like-it")
    assert missing.returncode == 127
    assert "nothing-like-it" in missing.stderr
    assert cli("exec", host, "/etc").returncode == 126
    assert cli("exec", "nobody", "true").returncode == 125
    assert cli.ok("exec", host, "cat") == ""
    data = os.urandom(1 << 20)
    process = cli.start("exec", "-i", host, "cat")
    out, _ = process.communicate(data, timeout=60)
    assert out == data


@pytest.mark.usefixtures("user_namespaces")
@pytest.mark.parametrize("options", [(), ("--userns", "auto"), ("--pid", "host", "--network", "host", "--ipc", "host")])
def test_it_lives_in_the_same_namespaces_and_cgroup(cli: Cli, options: tuple[str, ...]) -> None:
    cli.ok("run", "-d", "--name", "host", *options, "busybox", "sleep", "1000")
    init = cli.inspect("host")["State"]["Pid"]
    process = cli.start("exec", "host", "sh", "-c", "echo ready; sleep 1000; true")
    assert process.stdout
    process.stdout.readline()
    # The shell's fork has the shell's command line until it is sleep.
    inside = min(pid for pid in children_of_namespace(init) if pid != init and b"sleep 1000; true" in cmdline(pid))
    for kind in _KINDS:
        assert os.readlink(f"/proc/{inside}/ns/{kind}") == os.readlink(f"/proc/{init}/ns/{kind}"), kind
    assert read(f"/proc/{inside}/cgroup") == read(f"/proc/{init}/cgroup")
    assert os.readlink(f"/proc/{inside}/root") == os.readlink(f"/proc/{init}/root")
    for name in ("oom_score_adj", "limits"):
        assert read(f"/proc/{inside}/{name}") == read(f"/proc/{init}/{name}"), name
    end(process)


def children_of_namespace(init: int) -> list[int]:
    cgroup = read(f"/proc/{init}/cgroup")
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and read(f"/proc/{pid}/cgroup") == cgroup]


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def cmdline(pid: int) -> bytes:
    return read(f"/proc/{pid}/cmdline")


@pytest.mark.parametrize("user", ["0", "1000:1001"])
def test_it_is_exactly_as_confined(cli: Cli, user: str) -> None:
    limited = ("--cap-drop", "CHOWN", "--ulimit", "nofile=64:128")
    name = cli.ok("run", "-d", "-u", user, *limited, "busybox", "sh", "-c", "cat /proc/self/status; sleep 1000")
    wait_until(lambda: "Seccomp" in cli.ok("logs", name), "it has told")
    assert facts(cli.ok("exec", name, "cat", "/proc/self/status")) == facts(cli.ok("logs", name))
    assert cli.ok("exec", name, "sh", "-c", "umask; ulimit -n") == "0022\n64"


def test_user_environment_and_directory(cli: Cli, host: str) -> None:
    assert cli.ok("exec", host, "sh", "-c", "echo $GIVEN $PWD $HOME") == "yes /tmp /root"
    asked = cli.ok(
        "exec", "-u", "1000:5", "-w", "/etc", "-e", "MORE=1", host, "sh", "-c", "id -u; id -g; pwd; echo $MORE"
    )
    assert asked.split() == ["1000", "5", "/etc", "1"]
    assert facts(cli.ok("exec", "-u", "1000", host, "cat", "/proc/self/status"))["CapEff"] == "0" * 16
    refused = cli("exec", "-u", "stranger", host, "true")
    assert refused.returncode == 125
    assert "stranger" in refused.stderr
    assert cli("exec", "-w", "/not/there", host, "true").returncode == 125


def test_privileged_has_what_the_container_has_not(cli: Cli, host: str) -> None:
    plain = int(facts(cli.ok("exec", host, "cat", "/proc/self/status"))["CapEff"], 16)
    asked = int(facts(cli.ok("exec", "--privileged", host, "cat", "/proc/self/status"))["CapEff"], 16)
    assert plain & asked == plain
    assert asked > plain


def test_detached_it_goes_on_by_itself(cli: Cli, host: str) -> None:
    assert cli.ok("exec", "-d", host, "sh", "-c", "sleep 0.2; echo done > /tmp/told") == ""
    wait_until(lambda: cli("exec", host, "cat", "/tmp/told").stdout == "done\n", "it wrote its file")


def test_killing_the_client_hurts_nobody(cli: Cli, host: str) -> None:
    process = cli.start("exec", host, "sh", "-c", "echo ready; sleep 0.5; echo on > /tmp/went")
    assert process.stdout
    process.stdout.readline()
    end(process)
    wait_until(lambda: cli("exec", host, "cat", "/tmp/went").stdout == "on\n", "it went on")


def test_it_ends_with_the_container(cli: Cli, host: str) -> None:
    process = cli.start("exec", host, "sleep", "1000")
    wait_until(lambda: "sleep" in cli.ok("exec", host, "ps").splitlines()[-2], "it runs")
    cli.ok("kill", host)
    process.communicate(timeout=60)
    assert process.returncode == 137
    refused = cli("exec", host, "true")
    assert refused.returncode == 125
    assert "not running" in refused.stderr


def test_only_three_descriptors_go_in(cli: Cli, host: str) -> None:
    listed = cli.ok("exec", host, "sh", "-c", "ls /proc/$$/fd; true")
    assert listed.split() == ["0", "1", "2"]


@pytest.mark.parametrize("number", ["3", "5", "9", "17"])
def test_a_descriptor_is_no_way_out(cli: Cli, host: str, number: str) -> None:
    done = cli("exec", "-w", f"/proc/self/fd/{number}", host, "ls", "/")
    assert done.returncode == 125


def test_nobody_inside_can_look_at_what_comes_in(cli: Cli) -> None:
    script = """
        while :; do for p in /proc/[0-9]*; do
            case ${p#/proc/} in 1|$$) continue;; esac
            for what in cwd root exe; do
                case $(readlink $p/$what 2>/dev/null) in *python*|/*/*/*) echo LOOKED at $p/$what;; esac
            done
        done; done
    """
    name = cli.ok("run", "-d", "busybox", "sh", "-c", script)

    def often() -> None:
        for _ in range(6):
            cli.ok("exec", name, "true")

    threads = [threading.Thread(target=often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cli.ok("logs", name) == ""


def test_a_tracer_inside_finds_nothing_of_the_host_with_what_comes_in(cli: Cli, tmp_path: Path) -> None:
    """CAP_SYS_PTRACE opens what belongs to whatever has a number in there: its root, and its descriptors."""
    (tmp_path / "marker").touch()
    places = f"$p/root{tmp_path} $p/cwd{tmp_path} $p/fd/*{tmp_path}"
    look = f"for d in {places}; do [ -e $d/marker ] && echo $d; done"
    script = f"touch /ready; while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || {{ {look}; }}; done; done"
    cli.ok("run", "-d", "--name", "tracer", "--cap-add", "SYS_PTRACE", "busybox", "sh", "-c", script)
    wait_until(lambda: cli("exec", "tracer", "test", "-e", "/ready").returncode == 0, "it looks")
    for _ in range(30):
        cli.ok("exec", "tracer", "true")
    assert cli.ok("logs", "tracer") == ""


def test_many_at_once(cli: Cli, host: str) -> None:
    running = [cli.start("exec", host, "sh", "-c", f"echo {n}") for n in range(8)]
    outputs = sorted(process.communicate(timeout=60)[0] for process in running)
    assert outputs == sorted(b"%d\n" % n for n in range(8))
    assert subprocess.list2cmdline(cli.ok("exec", host, "ps").split()).count("sleep") == 1


def test_a_program_that_is_attached_to_reaches_several(cli: Cli) -> None:
    cli.ok(
        "run",
        "-d",
        "--name",
        "speaker",
        "busybox",
        "sh",
        "-c",
        "while ! test -e /go; do sleep 0.05; done; echo hear me; exit 3",
    )
    attached = [cli.start("attach", "speaker") for _ in range(2)]
    attachments = (
        "events",
        "--since",
        "5m",
        "--until",
        "0s",
        "--filter",
        "event=attach",
        "--filter",
        "container=speaker",
    )
    wait_until(lambda: len(cli.ok(*attachments).splitlines()) == 2, "both are attached")
    cli.ok("exec", "speaker", "touch", "/go")
    for process in attached:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (3, b"hear me\n")
    refused = cli("attach", "speaker")
    assert refused.returncode == 125
    assert "not running" in refused.stderr


def test_a_program_that_writes_more_than_it_reads_never_waits_for_itself(cli: Cli, host: str) -> None:
    data = os.urandom(3 << 20)
    process = cli.start("exec", "-i", host, "od", "-An", "-v", "-tx1")
    out, _ = process.communicate(data, timeout=60)
    assert bytes.fromhex(out.decode().replace("\n", "").replace(" ", "")) == data


@pytest.mark.usefixtures("user_namespaces")
def test_a_user_may_open_the_standard_streams(cli: Cli) -> None:
    say = ("sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin")
    for options in (("-u", "1000"), ("--userns", "auto"), ("--userns", "auto", "-u", "5")):
        done = cli("run", "--rm", "-i", *options, "busybox", *say, stdin="in")
        assert (done.stdout, done.stderr) == ("out\nin", "err\n"), options
    name = cli.ok("run", "-d", "busybox", "sleep", "1000")
    done = cli("exec", "-i", "-u", "1000", name, *say, stdin="in")
    assert (done.stdout, done.stderr) == ("out\nin", "err\n")
