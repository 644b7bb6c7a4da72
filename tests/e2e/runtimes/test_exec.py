"""`exec` of all kinds: the same under every runtime that announced it."""

from __future__ import annotations

import os

import pytest

from ...console import console
from ...support import Cli, end, wait_until
from ..test_exec import cmdline, facts, read
from .matrix import Runtime, answers, sheet
from .test_programs import DEFAULTS

pytestmark = [pytest.mark.root, pytest.mark.needs("exec")]


@pytest.fixture
def host(cli: Cli) -> str:
    """A container to execute in."""
    cli.ok("run", "-d", "--name", "host", "--env", "GIVEN=yes", "--workdir", "/tmp", "busybox", "sleep", "1000")
    return "host"


def test_codes(cli: Cli, host: str) -> None:
    codes: dict[tuple[str, ...], int] = {("sh", "-c", f"exit {code}"): code for code in (0, 1, 42, 255)}
    codes |= {
        ("sh", "-c", "kill -9 $$"): 137,
        ("sh", "-c", "kill -15 $$"): 143,
        ("nothing-like-it",): 127,
        ("/etc",): 126,
    }
    assert {words: cli("exec", host, *words).returncode for words in codes} == codes
    missing = cli("exec", host, "nothing-like-it")
    assert missing.stderr.count("\n") == 1
    assert "nothing-like-it" in missing.stderr


def test_streams(cli: Cli, host: str) -> None:
    done = cli("exec", host, "sh", "-c", "echo out; echo err >&2; cat", stdin="unheard")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    data = os.urandom(1 << 20)
    out, _ = cli.start("exec", "-i", host, "cat").communicate(data, timeout=60)
    assert out == data


@pytest.mark.needs("terminal")
def test_a_terminal_of_its_own(cli: Cli, host: str) -> None:
    with console(cli, "exec", "-it", host, "sh", "-c", "PS1='in> ' exec sh -i", rows=20, columns=70) as screen:
        screen.see("in> ")
        screen.line("stty size; test -c $(tty) && echo has a $((2 - 1)).")
        screen.see("20 70")
        screen.see("has a 1.")
        screen.resize(21, 71)
        screen.line("sleep 0.1; stty size")
        screen.see("21 71")
        screen.line("exit 6")
        assert screen.wait() == 6


def test_environment_and_directory(cli: Cli, host: str) -> None:
    assert cli.ok("exec", host, "sh", "-c", "echo $GIVEN $PWD $HOME") == "yes /tmp /root"
    assert cli.ok("exec", "-w", "/etc", "-e", "MORE=1", host, "sh", "-c", "pwd; echo $MORE") == "/etc\n1"


@pytest.mark.needs("user")
def test_a_user(cli: Cli, host: str) -> None:
    assert cli.ok("exec", "-u", "1000:5", host, "sh", "-c", "id -u; id -g") == "1000\n5"
    refused = cli("exec", "-u", "stranger", host, "true")
    assert (refused.returncode, refused.stderr.count("\n")) == (125, 1)
    assert "stranger" in refused.stderr


def test_it_lives_where_the_container_lives_as_confined(cli: Cli, runtime: Runtime, host: str) -> None:
    init = cli.inspect(host)["State"]["Pid"]
    words = [b"sh", b"-c", b"echo ready; read line"]  # nothing that forks: a child has these words until it executes
    process = cli.start("exec", "-i", host, *map(os.fsdecode, words))
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    cgroup = read(f"/proc/{init}/cgroup")
    there = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and read(f"/proc/{pid}/cgroup") == cgroup]
    (inside,) = [pid for pid in there if cmdline(pid) == b"\0".join([*words, b""])]
    (program,) = [pid for pid in there if cmdline(pid) == b"sleep\x001000\x00" and parent(pid) != inside]
    for kind in ("mnt", "pid", "uts", "ipc", "net", "cgroup", "user", "time"):
        assert os.readlink(f"/proc/{inside}/ns/{kind}") == os.readlink(f"/proc/{program}/ns/{kind}"), kind
    for name in ("oom_score_adj", "limits"):
        assert read(f"/proc/{inside}/{name}") == read(f"/proc/{program}/{name}"), name
    ours, theirs = (facts(read(f"/proc/{pid}/status").decode()) for pid in (inside, program))
    if "no supplementary groups" in runtime.notes:
        ours["Groups"] = theirs["Groups"]
    assert ours == theirs
    end(process)


def test_a_health_check_that_takes_too_long_leaves_nothing_behind(cli: Cli) -> None:
    check = ("--health-cmd", "sleep 997", "--health-interval", "1s", "--health-timeout", "1s", "--health-retries", "2")
    cli.ok("run", "-d", "--name", "ill", *check, "busybox", "sleep", "1000")
    wait_until(lambda: cli.inspect("ill")["State"]["Health"]["Status"] == "unhealthy", "two checks have failed")
    assert cli.ok("exec", "ill", "ps").count("sleep 997") <= 1


def parent(pid: int) -> int:
    return int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])


def test_it_sees_what_a_container_sees_by_default(cli: Cli, runtime: Runtime, host: str) -> None:
    wanted = {name: (script, answer) for name, (needs, script, answer) in DEFAULTS.items() if runtime.able(*needs)}
    del wanted["directory"]
    found = answers(cli.ok("exec", host, *sheet({name: script for name, (script, _) in wanted.items()})))
    assert found == {name: answer for name, (_, answer) in wanted.items()}


@pytest.mark.needs("capabilities")
def test_privileged_has_more(cli: Cli, runtime: Runtime, host: str) -> None:
    """Or is refused, where a note says so."""
    look = (host, "cat", "/proc/self/status")
    plain, privileged = cli("exec", *look), cli("exec", "--privileged", *look)
    if privileged.returncode:
        assert (privileged.returncode, privileged.stdout, privileged.stderr.count("\n")) == (125, "", 1)
        assert f"runtime {runtime.name} " in privileged.stderr
        assert "privileges" in runtime.notes
        return
    before, after = (int(facts(done.stdout)["CapEff"], 16) for done in (plain, privileged))
    assert after > before == after & before


def test_detached_it_goes_on_and_ends_with_the_container(cli: Cli, host: str) -> None:
    assert cli.ok("exec", "-d", host, "sh", "-c", "sleep 0.2; echo done > /tmp/told; sleep 1003") == ""
    wait_until(lambda: cli("exec", host, "cat", "/tmp/told").stdout == "done\n", "it wrote its file")
    process = cli.start("exec", host, "sh", "-c", "echo ready; sleep 1000")
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    cli.ok("kill", host)
    process.communicate(timeout=60)
    assert process.returncode == 137
    assert cli("exec", host, "true").returncode == 125


def test_many_at_once(cli: Cli, host: str) -> None:
    running = [cli.start("exec", host, "sh", "-c", f"echo {n}; exit {n}") for n in range(8)]
    told = [(process.communicate(timeout=60)[0], process.returncode) for process in running]
    assert told == [(b"%d\n" % n, n) for n in range(8)]
