"""`run`: what comes out, with which code, on which stream."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ..support import Cli, end, wait_until

pytestmark = pytest.mark.root


def test_the_promise(cli: Cli) -> None:
    cli.ok("pull", "-q", "busybox")  # which would tell of its progress
    done = cli("run", "--rm", "--runtime", "native", "busybox", "echo", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


@pytest.mark.parametrize("code", [0, 1, 42, 125, 255])
def test_the_commands_own_code_is_returned(cli: Cli, code: int) -> None:
    assert cli("run", "--rm", "busybox", "sh", "-c", f"exit {code}").returncode == code


def test_a_command_that_is_not_there_is_127(cli: Cli) -> None:
    done = cli("run", "--rm", "busybox", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr
    assert done.stderr.count("\n") == 1
    assert cli.names() == []


def test_a_command_that_is_no_program_is_126(cli: Cli) -> None:
    done = cli("run", "--rm", "busybox", "/etc")
    assert done.returncode == 126
    assert "/etc" in done.stderr
    assert "errno 13" in done.stderr


def test_death_by_signal_is_128_plus_its_number(cli: Cli) -> None:
    assert cli("run", "--rm", "--init", "busybox", "sh", "-c", "kill -TERM $$").returncode == 143
    assert cli("run", "--rm", "--init", "busybox", "sh", "-c", "kill -KILL $$").returncode == 137


def test_process_one_cannot_kill_itself(cli: Cli) -> None:
    assert cli("run", "--rm", "busybox", "sh", "-c", "kill -9 $$").returncode == 0


def test_stdout_and_stderr_stay_apart(cli: Cli) -> None:
    done = cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_megabyte_through_stdin_is_byte_exact(cli: Cli) -> None:
    data = os.urandom(1 << 20)
    process = cli.start("run", "--rm", "-i", "busybox", "cat")
    out, _ = process.communicate(data, timeout=60)
    assert process.returncode == 0
    assert out == data


def test_without_i_stdin_is_empty(cli: Cli) -> None:
    assert cli("run", "--rm", "busybox", "cat", stdin="unheard").stdout == ""


def test_detached_in_a_command_substitution_returns_at_once(cli: Cli) -> None:
    # The pipe of $(…) closes only when nobody behind it holds it any more: no time is measured, a sleep outlives it.
    identity = cli.ok("run", "-d", "--name", "sleeper", "busybox", "sleep", "1000")
    assert len(identity) == 64
    assert cli.inspect("sleeper")["Id"] == identity
    assert cli.inspect("sleeper")["State"]["Running"] is True


def test_cidfile_holds_the_id_and_must_be_new(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "cid"
    identity = cli.ok("run", "-d", "--cidfile", str(file), "busybox", "true")
    assert file.read_text() == identity
    again = cli("run", "--cidfile", str(file), "busybox", "true")
    assert again.returncode == 125
    assert str(file) in again.stderr
    assert len(cli.names()) == 1


def test_rm_leaves_nothing(cli: Cli) -> None:
    cli.ok("run", "--rm", "--name", "brief", "busybox", "true")
    assert cli.names() == []


def test_the_container_outlives_a_killed_command(cli: Cli) -> None:
    process = cli.start(
        "run", "--name", "orphan", "busybox", "sh", "-c", "while ! test -e /go; do sleep 0.05; done; echo late; exit 7"
    )
    wait_until(lambda: "orphan" in cli.names() and cli.inspect("orphan")["State"]["Pid"], "it runs")
    end(process)
    cli.ok("exec", "orphan", "touch", "/go")
    assert cli.ok("wait", "orphan") == "7"
    assert cli.ok("logs", "orphan") == "late"


@pytest.mark.parametrize(("number", "code"), [(15, 44), (10, 45), (1, 46)])
def test_signals_to_the_command_reach_the_container(cli: Cli, number: int, code: int) -> None:
    script = "trap 'exit 44' TERM; trap 'exit 45' USR1; trap 'exit 46' HUP; echo ready; while :; do sleep 0.05; done"
    process = cli.start("run", "--rm", "busybox", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == code


def test_a_closed_stdout_does_not_end_the_container(cli: Cli) -> None:
    process = cli.start("run", "--name", "talker", "busybox", "sh", "-c", "echo one; sleep 0.5; echo two; exit 3")
    assert process.stdout is not None
    assert process.stdout.readline() == b"one\n"
    process.stdout.close()
    assert process.wait(20) == 3
    assert cli.ok("logs", "talker") == "one\ntwo"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--memory", "lots"], "--memory"),
        (["--memory", "1"], "--memory"),
        (["--cpus", "0"], "--cpus"),
        (["--cpus", "9999"], "--cpus"),
        (["--cpu-shares", "1"], "--cpu-shares"),
        (["--pids-limit", "0"], "--pids-limit"),
        (["--cpuset-cpus", "4095"], "--cpuset-cpus"),
        (["--user", "nobody-knows"], "nobody-knows"),
        (["--user", "99999999999"], "99999999999"),
        (["--workdir", "relative"], "relative"),
        (["--volume", "relative/path:/x"], "--volume"),
        (["--volume", "/tmp:/x:sideways"], "sideways"),
        (["--volume", "data:/x:rshared"], "rshared"),
        (["--volume", "/tmp:/x:nocopy"], "nocopy"),
        (["--volume", ".hid:/x"], ".hid"),
        (["-v", "/x", "--tmpfs", "/x/"], "two mounts at /x"),
        (["--volumes-from", "nobody"], "nobody"),
        (["--mount", "type=floppy,target=/x"], "floppy"),
        (["--mount", "type=volume,source=/tmp,target=/x"], "type=bind"),
        (["--mount", "source=a,target=/x,volume-subpath=../b"], "volume-subpath"),
        (["--mount", "source=a,target=/x,volume-driver=floppy"], "floppy"),
        (["--mount", "source=a,target=/x,volume-opt=o=bind"], "takes none"),
        (["--mount", "type=tmpfs,source=a,target=/x"], "no source"),
        (["--mount", "type=bind,source=/tmp,target=/x,readonly=perhaps"], "perhaps"),
        (["--mount", "type=bind,source=/tmp,target=/x,bind-propagation=up"], "bind-propagation"),
        (["--mount", "type=bind,source=/tmp,target=/x,ro,bind-recursive=writable"], "writable"),
        (["--mount", "type=bind,source=/tmp,target=/x,tmpfs-size=1m"], "tmpfs-size"),
        (["--mount", "type=bind,source=/no/such/directory,target=/x"], "/no/such/directory"),
        (["--tmpfs", "/x:colour=red"], "colour=red"),
        (["--cap-add", "NET_ADMIM"], "CAP_NET_ADMIN"),
        (["--security-opt", "magic"], "magic"),
        (["--security-opt", "seccomp=/no/such/profile"], "/no/such/profile"),
        (["--security-opt", "apparmor=fancy"], "apparmor"),
        (["--network", "wormhole"], "wormhole"),
        (["--network", "container:nobody"], "nobody"),
        (["--dns", "example"], "--dns"),
        (["--add-host", "lonely"], "--add-host"),
        (["--pid", "shared"], "shared"),
        (["--userns", "private"], "--userns"),
        (["--stop-signal", "SIGWAVE"], "SIGWAVE"),
        (["--ulimit", "nofile=many"], "--ulimit"),
        (["--ulimit", "naps=3"], "naps"),
        (["--sysctl", "kernel.panic=1"], "kernel.panic"),
        (["--sysctl", "net.core.somaxconn=1", "--network", "host"], "net.core.somaxconn"),
        (["--device", "/dev/no-such"], "/dev/no-such"),
        (["--device", "/etc/passwd"], "/etc/passwd"),
        (["--hostname", "a b"], "a b"),
        (["--name", "a/b"], "a/b"),
        (["--runtime", "natvie"], "native"),
        (["--env-file", "/no/such/file"], "/no/such/file"),
        (["--shm-size", "-1"], "--shm-size"),
        (["--shm-size", "1m", "--ipc", "host"], "--shm-size"),
        (["--hostname", "web", "--uts", "host"], "--hostname"),
        (["--annotation", "dev.cmanager.init=true"], "dev.cmanager."),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_bad_input_is_one_line_and_125_and_leaves_nothing(cli: Cli, arguments: list[str], said: str) -> None:
    before = sorted(os.listdir(cli.root / "storage/overlay/containers")) if cli.root.exists() else []
    done = cli("run", "--rm", *arguments, "busybox", "true")
    assert done.returncode == 125, done.stderr
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert cli.names() == []
    after = sorted(os.listdir(cli.root / "storage/overlay/containers")) if cli.root.exists() else []
    assert after == before


def test_an_image_that_is_nowhere_is_125_and_says_where_was_looked(cli: Cli) -> None:
    done = cli("run", "no-such-image", "true")
    assert done.returncode == 125
    assert "no-such-image" in done.stderr


def test_pull_never_does_not_pull(cli: Cli, tmp_path: Path) -> None:
    fresh = Cli(tmp_path / "root", tmp_path / "run")
    done = fresh("run", "--rm", "--pull", "never", "busybox", "true")
    assert done.returncode == 125
    assert "busybox" in done.stderr
    assert fresh("run", "--rm", "--pull", "missing", "busybox", "true").returncode == 0
    assert fresh("run", "--rm", "--pull", "never", "busybox", "true").returncode == 0
    assert fresh("run", "--rm", "--pull", "always", "busybox", "true").returncode == 0


def test_an_unknown_command_is_1_and_names_the_nearest(cli: Cli) -> None:
    done = cli("runn", "busybox")
    assert done.returncode == 1
    assert "'run'" in done.stderr


def test_many_containers_at_once(cli: Cli) -> None:
    commands = [cli.start("run", "--rm", "busybox", "sh", "-c", f"echo {n}; exit {n}") for n in range(8)]
    for number, process in enumerate(commands):
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == (b"%d\n" % number, number), err
    assert cli.names() == []


def test_explain_prints_the_plan_and_changes_nothing(cli: Cli) -> None:
    before = time.time_ns(), cli.names()
    plan = cli.ok("explain", "run", "-m", "64m", "--network", "none", "busybox", "true")
    for word in ("image", "rootfs", "netns", "cgroup", "supervisor", "start", "native"):
        assert word in plan
    assert cli.names() == before[1]
