"""How a program begins and ends: the same under every runtime."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ...support import Cli
from .matrix import Case, Runtime, answers, check, own, sheet, status

pytestmark = pytest.mark.root

#: Bits of the fourteen capabilities that Docker gives.
_FOURTEEN = "00000000a80425fb"


ENDS = {
    "0": Case((), "exit 0"),
    "1": Case((), "exit 1", code=1),
    "42": Case((), "exit 42", code=42),
    "137 of its own": Case((), "exit 137", code=137),
    "143 of its own": Case((), "exit 143", code=143),
    "143 by a signal": Case(("--init",), "kill -TERM $$", code=143, needs=("init",)),
    "137 by a signal": Case(("--init",), "kill -KILL $$", code=137, needs=("init",)),
}


@pytest.mark.parametrize("case", ENDS)
def test_its_exit_code_is_returned(cli: Cli, runtime: Runtime, case: str) -> None:
    check(cli, runtime, ENDS[case])


@pytest.mark.parametrize(("command", "code"), [("/etc", 126), ("no-such-program", 127), ("/no/such/program", 127)])
def test_what_cannot_be_executed_is_told_in_one_line_and_gone(cli: Cli, command: str, code: int) -> None:
    done = cli("run", "--rm", "busybox", command)
    assert (done.returncode, done.stdout) == (code, "")
    assert command in done.stderr.splitlines()[-1]
    assert cli.names() == []


#: What each flag does. Where the runtime has not announced what a case needs, its flag is refused.
FLAGS = {
    "a variable": Case(("--env", "A=b  c=d"), 'echo "$A"', "b  c=d"),
    "a directory": Case(("--workdir", "/tmp"), "pwd", "/tmp"),
    "a directory that is made": Case(("--workdir", "/made/for/it"), "pwd", "/made/for/it"),
    "a umask": Case(("--umask", "0077"), "umask; touch x; stat -c %a x", "0077\n600", needs=("umask",)),
    "an entry point": Case(("--entrypoint", "echo"), "x", "sh -c x"),
    "a user by number": Case(("--user", "1000:5"), "echo $(id -u) $(id -g) $HOME", "1000 5 /", needs=("user",)),
    "a user by name": Case(("--user", "nobody"), "echo $(id -u) $(id -g)", "65534 65534", needs=("user",)),
    "groups": Case(("--user", "1000", "--group-add", "77"), "id -G", "0 77", needs=("user",)),
    "a host name": Case(
        ("--hostname", "inside"), "hostname; cat /etc/hostname", "inside\ninside", needs=("uts namespace",)
    ),
    "a pid namespace": Case(("--pid", "private"), own("pid"), "own", needs=("pid namespace",)),
    "the host's pid namespace": Case(("--pid", "host"), own("pid"), "shared"),
    "an ipc namespace": Case(("--ipc", "private"), own("ipc"), "own", needs=("ipc namespace",)),
    "the host's ipc namespace": Case(("--ipc", "host"), own("ipc"), "shared"),
    "a uts namespace": Case(("--uts", "private"), own("uts"), "own", needs=("uts namespace",)),
    "the host's uts namespace": Case(("--uts", "host"), own("uts"), "shared"),
    "a cgroup namespace": Case(("--cgroupns", "private"), own("cgroup"), "own", needs=("cgroup namespace",)),
    "the host's cgroup namespace": Case(("--cgroupns", "host", "--network", "host"), own("cgroup"), "shared"),
    "a time namespace": Case(("--timens", "private"), own("time"), "own", needs=("time namespace",)),
    "limits": Case(("--ulimit", "nofile=64:128"), "ulimit -n; ulimit -Hn", "64\n128", needs=("rlimits",)),
    "kernel parameters": Case(
        ("--sysctl", "net.core.somaxconn=77"), "cat /proc/sys/net/core/somaxconn", "77", needs=("sysctl",)
    ),
    "a device": Case(
        ("--device", "/dev/zero:/dev/mine:r"),
        "stat -c %t:%T /dev/mine; head -c 4 /dev/mine | wc -c",
        "1:5\n4",
        needs=("devices",),
    ),
    "an init": Case(
        ("--init",), "[ $$ != 1 ] && (sleep 0.1 &) ; sleep 0.5; ps | grep -c [Z]ombie", "0", code=1, needs=("init",)
    ),
    "a size of shared memory": Case(
        ("--shm-size", "3m"), "df -k /dev/shm | tail -1 | awk '{print $2}'", "3072", needs=("ipc namespace",)
    ),
    "an oom score": Case(("--oom-score-adj", "500"), "cat /proc/self/oom_score_adj", "500"),
    "no capabilities but one": Case(
        ("--cap-drop", "ALL", "--cap-add", "CHOWN"),
        f"{status('CapEff')}; {status('CapBnd')}; {status('CapPrm')}; {status('CapInh')}; {status('CapAmb')}",
        "\n".join(["0000000000000001"] * 3 + ["0000000000000000"] * 2),
        needs=("capabilities",),
    ),
    "one capability less": Case(("--cap-drop", "MKNOD"), status("CapBnd"), "00000000a00425fb", needs=("capabilities",)),
    "one capability more": Case(
        ("--cap-add", "NET_ADMIN"), status("CapEff"), "00000000a80435fb", needs=("capabilities",)
    ),
    "a bounding set alone for another user": Case(
        ("--user", "1000", "--cap-drop", "MKNOD"),
        f"{status('CapEff')}; {status('CapPrm')}; {status('CapBnd')}",
        "0000000000000000\n0000000000000000\n00000000a00425fb",
        needs=("capabilities", "user"),
    ),
    "no new privileges": Case(
        ("--security-opt", "no-new-privileges=true"), status("NoNewPrivs"), "1", needs=("no_new_privileges",)
    ),
    "new privileges": Case(("--security-opt", "no-new-privileges=false"), status("NoNewPrivs"), "0"),
    "privileges": Case(("--privileged",), f"{status('NoNewPrivs')}; {status('Seccomp')}", "0\n0"),
    "a health check": Case(("--health-cmd", "true"), "exit 6", code=6, needs=("exec",)),
    "no filter": Case(("--security-opt", "seccomp=unconfined"), status("Seccomp"), "0"),
}


#: One that a host may be unable to make.
_USERNS = Case(("--userns", "auto"), f"{own('user')}; id -u; touch /x && stat -c %u /x", "own\n0\n0", needs=("userns",))


@pytest.mark.usefixtures("user_namespaces")
def test_a_user_namespace(cli: Cli, runtime: Runtime) -> None:
    check(cli, runtime, _USERNS)


@pytest.mark.everyday("runc")
@pytest.mark.parametrize("case", FLAGS)
def test_a_flag_is_honoured_or_refused(cli: Cli, runtime: Runtime, case: str) -> None:
    check(cli, runtime, FLAGS[case])


def test_a_system_call_filter_of_ones_own(cli: Cli, runtime: Runtime, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    script = f"{status('Seccomp')}; mkdir /new 2>&1 | grep -ic 'not supported'"
    option = ("--security-opt", f"seccomp={profile}")
    check(cli, runtime, Case(option, script, "2\n1", needs=("seccomp",)))


#: What a container has that asked for nothing: (what is needed for it, script, answer).
DEFAULTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "arguments": ((), "head -c 5 /proc/$$/cmdline | tr '\\0' ' '", "sh -c"),
    "user": ((), "id -u; id -g; id -G", "0\n0\n0"),
    "directory": ((), "pwd", "/"),
    "umask": ((), "umask", "0022"),
    "no blocked signal": ((), status("SigBlk"), "0" * 16),
    "no ignored signal": ((), status("SigIgn"), "0" * 16),
    "three descriptors": ((), "ls /proc/$$/fd | grep -v -x -e 3 -e 10 | tr '\\n' ' '", "0 1 2"),
    "capabilities in effect": (("capabilities",), status("CapEff"), _FOURTEEN),
    "capabilities at most": (("capabilities",), status("CapBnd"), _FOURTEEN),
    "capabilities to inherit": (("capabilities",), status("CapInh"), "0" * 16),
    "no new privileges": (("no_new_privileges",), status("NoNewPrivs"), "1"),
    "a filter": (("seccomp",), status("Seccomp"), "2"),
    "no other user namespace in it": (("seccomp",), "unshare -U true 2>&1 | grep -c 'not permitted'", "1"),
    "devices": (
        ("devices",),
        "ls /dev | grep -v -x -e char -e console -e core -e net | tr '\\n' ' '",
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
    ),
    "devices that work": (("devices",), "echo x > /dev/null && head -c 4 /dev/zero | wc -c", "4"),
    "a pid namespace": (("pid namespace",), own("pid"), "own"),
    "an ipc namespace": (("ipc namespace",), own("ipc"), "own"),
    "a uts namespace": (("uts namespace",), own("uts"), "own"),
    "a cgroup namespace": (("cgroup namespace",), own("cgroup"), "own"),
    "no user namespace": ((), own("user"), "shared"),
    "its cgroups to read": (("cgroup_mount",), '[ -n "$(ls /sys/fs/cgroup)" ] && echo there', "there"),
    "any port for anyone": (("sysctl",), "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    "its processes alone": (("pid namespace",), "[ $(ls -d /proc/[0-9]* | wc -l) -lt 9 ] && echo alone", "alone"),
    "a link and a loopback": (("network",), "ls /sys/class/net | grep -c -x -e eth0 -e lo", "2"),
    "no parameter of the kernel to write": (
        ("masked_paths",),
        "for f in sys/kernel/panic sysrq-trigger irq/0/x; do (: > /proc/$f) 2>/dev/null && echo $f; done; true",
        "",
    ),
    "nothing of the machine to read": (
        ("masked_paths",),
        "for f in interrupts kcore keys latency_stats timer_list; do head -c 1 /proc/$f 2>/dev/null; done | wc -c",
        "0",
    ),
}


def test_what_nobody_asked_for_is_the_same(cli: Cli, runtime: Runtime) -> None:
    wanted = {name: (script, answer) for name, (needs, script, answer) in DEFAULTS.items() if runtime.able(*needs)}
    found = answers(cli.ok("run", "--rm", "busybox", *sheet({name: script for name, (script, _) in wanted.items()})))
    assert found == {name: answer for name, (_, answer) in wanted.items()}


def test_its_environment_is_what_was_said_and_nothing_else(cli: Cli, runtime: Runtime) -> None:
    identity = cli.ok("create", "--env", "A=b", "--unsetenv", "HOME", "busybox", "env")
    found = set(cli.ok("start", "-a", identity).splitlines())
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    said = {path, "A=b", f"HOSTNAME={identity[:12]}"}
    assert found == said if runtime.able("exact_environment") else found > said


def test_its_host_name_is_its_id(cli: Cli, runtime: Runtime) -> None:
    identity = cli.ok("run", "-d", "busybox", "hostname")
    cli.ok("wait", identity)
    expected = identity[:12] if runtime.able("uts namespace") else os.uname().nodename
    assert cli.ok("logs", identity) == expected


def test_streams_stay_apart_and_input_ends(cli: Cli) -> None:
    script = "echo out; echo err >&2; cat; [ -t 0 ] || echo no terminal"
    done = cli("run", "--rm", "busybox", "sh", "-c", script, stdin="unheard")
    assert done.stdout == "out\nno terminal\n"
    assert done.stderr.splitlines()[-1] == "err"


def test_a_megabyte_through_it_is_byte_exact(cli: Cli) -> None:
    data = os.urandom(1 << 20)
    process = cli.start("run", "--rm", "-i", "busybox", "cat")
    out, _ = process.communicate(data, timeout=60)
    assert process.returncode == 0
    assert out == data
