"""What a default container shows from inside, and what it cannot reach."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ..support import Cli

pytestmark = pytest.mark.root


def status(cli: Cli, *options: str) -> dict[str, str]:
    out = cli.ok("run", "--rm", *options, "busybox", "cat", "/proc/self/status")
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in out.splitlines()}


def sh(cli: Cli, script: str, *options: str) -> str:
    return cli.ok("run", "--rm", *options, "busybox", "sh", "-c", script)


def test_the_default_capabilities_are_dockers_fourteen(cli: Cli) -> None:
    found = status(cli)
    for kind in ("CapPrm", "CapEff", "CapBnd"):
        assert found[kind] == "00000000a80425fb"
    for kind in ("CapInh", "CapAmb"):
        assert found[kind] == "0000000000000000"


def test_another_user_has_none_but_the_bounding_set(cli: Cli) -> None:
    found = status(cli, "--user", "1000:1000")
    assert found["CapEff"] == found["CapPrm"] == "0000000000000000"
    assert found["CapBnd"] == "00000000a80425fb"


def test_capabilities_are_added_and_dropped(cli: Cli) -> None:
    assert status(cli, "--cap-drop", "ALL")["CapEff"] == "0000000000000000"
    assert status(cli, "--cap-drop", "all", "--cap-add", "CHOWN")["CapEff"] == "0000000000000001"
    assert int(status(cli, "--cap-add", "net_admin")["CapEff"], 16) == 0xA80425FB | 1 << 12
    assert int(status(cli, "--cap-drop", "CAP_MKNOD")["CapBnd"], 16) == 0xA80425FB & ~(1 << 27)


def test_no_new_privileges_is_on_and_can_be_turned_off(cli: Cli) -> None:
    assert status(cli)["NoNewPrivs"] == "1"
    assert status(cli, "--security-opt", "no-new-privileges=false")["NoNewPrivs"] == "0"


def test_a_system_call_filter_is_on_and_can_be_turned_off(cli: Cli) -> None:
    assert status(cli)["Seccomp"] == "2"
    assert status(cli, "--security-opt", "seccomp=unconfined")["Seccomp"] == "0"


@pytest.mark.parametrize("command", ["unshare -U true", "unshare -m true", "mount -t tmpfs none /mnt", "reboot -f"])
def test_the_filter_and_the_capabilities_refuse(cli: Cli, command: str) -> None:
    done = cli("run", "--rm", "busybox", "sh", "-c", command)
    assert done.returncode != 0
    assert "not permitted" in done.stderr.lower() or "denied" in done.stderr.lower()


def test_a_profile_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    done = cli("run", "--rm", "--security-opt", f"seccomp={profile}", "busybox", "mkdir", "/new")
    assert done.returncode == 1
    assert "not supported" in done.stderr.lower()


def test_masked_paths_are_empty(cli: Cli) -> None:
    script = """
    for f in interrupts kcore keys latency_stats sched_debug timer_list timer_stats; do
        [ -e /proc/$f ] && [ -n "$(head -c 1 /proc/$f)" ] && echo /proc/$f
    done
    for d in /proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
        [ -d $d ] && [ -n "$(ls $d)" ] && echo $d
    done
    true
    """
    assert sh(cli, script) == ""


def test_read_only_paths_refuse_writing(cli: Cli) -> None:
    script = """
    for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/uevent_seqnum /sys/fs/cgroup/memory/x; do
        (echo x > $f) 2>/dev/null && echo $f
    done
    true
    """
    assert sh(cli, script) == ""


def test_the_mounts_have_the_flags_of_the_defaults(cli: Cli) -> None:
    options = {}
    for line in sh(cli, "cat /proc/self/mountinfo").splitlines():
        fields = line.split()
        options[fields[4]] = set(fields[5].split(","))
    assert {"nosuid", "nodev", "noexec"} <= options["/proc"]
    assert {"nosuid"} <= options["/dev"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= options["/sys"]
    assert {"ro"} <= options["/sys/fs/cgroup"]
    assert {"nosuid", "nodev", "noexec"} <= options["/dev/shm"]
    assert {"nosuid", "nodev", "noexec"} <= options["/dev/mqueue"]
    assert "/dev/pts" in options


def test_privileged_shows_more(cli: Cli) -> None:
    found = status(cli, "--privileged")
    ours = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    assert found["CapEff"] == ours.split()[1]
    assert (found["Seccomp"], found["NoNewPrivs"]) == ("0", "0")
    assert sh(cli, "mount -t tmpfs none /mnt && echo mounted", "--privileged") == "mounted"


def test_only_the_three_standard_descriptors_leak_in(cli: Cli) -> None:
    extra = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(extra, True)
    try:
        process = cli.start("run", "--rm", "busybox", "sh", "-c", "ls /proc/$$/fd; true", pass_fds=[extra])
        out, _ = process.communicate(timeout=60)
    finally:
        os.close(extra)
    assert [fd for fd in out.decode().split() if fd != "10"] == ["0", "1", "2"]


def test_the_working_directory_cannot_lie_outside(cli: Cli) -> None:
    for fd in range(3, 16):
        done = cli("run", "--rm", "--workdir", f"/proc/self/fd/{fd}", "busybox", "ls")
        assert done.returncode == 125, done.stdout


def test_the_manager_cannot_be_rewritten_from_inside(cli: Cli) -> None:
    """CVE-2019-5736: an entry point that is the manager's own interpreter, and a look at every process's executable."""
    done = cli("run", "--rm", "busybox", "/proc/self/exe", "--version")
    assert done.returncode in (0, 126, 127)
    script = 'for p in /proc/[0-9]*; do (: >> $p/exe) 2>/dev/null && echo "$p $(readlink $p/exe)"; done; true'
    out = sh(cli, script, "--pid", "host", "--cap-add", "SYS_PTRACE")
    assert "python" not in out


def test_a_container_in_the_hosts_pid_namespace_does_not_see_the_managers_memory(cli: Cli) -> None:
    script = "for p in /proc/[0-9]*; do grep -l cmanager $p/environ 2>/dev/null; done; true"
    assert sh(cli, script, "--pid", "host") == ""


def test_device_nodes_and_who_may_use_them(cli: Cli) -> None:
    listed = sh(cli, "ls /dev").split()
    expected = {"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty"}
    assert set(listed) == expected | {"urandom", "zero"}
    assert sh(cli, "echo x > /dev/null && head -c 4 /dev/zero | wc -c") == "4"
    # mknod is allowed, using what it made is not (row D-06): 1:11 is the kernel's log, which refuses by itself where
    # CAP_SYSLOG lacks.
    script = "mknod /dev/kmsg c 1 11 && head -c 1 /dev/kmsg"
    done = cli("run", "--rm", "--cap-add", "SYSLOG", "busybox", "sh", "-c", script)
    assert done.returncode != 0
    assert "not permitted" in done.stderr.lower()


def test_a_device_on_request(cli: Cli) -> None:
    found = sh(cli, "stat -c '%t:%T' /dev/mine && head -c 1 /dev/mine | wc -c", "--device", "/dev/zero:/dev/mine:r")
    assert found.split() == ["1:5", "1"]


def test_sysctls_of_ones_own_namespaces(cli: Cli) -> None:
    options = ("--sysctl", "net.core.somaxconn=77", "--sysctl", "kernel.shmmni=55")
    script = "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ip_unprivileged_port_start"
    assert sh(cli, script, *options).split() == ["77", "55", "0"]


def test_a_read_only_root(cli: Cli) -> None:
    done = cli("run", "--rm", "--read-only", "busybox", "touch", "/file")
    assert done.returncode == 1
    assert "read-only" in done.stderr.lower()
    assert sh(cli, "touch /tmp/file && echo made", "--read-only", "--tmpfs", "/tmp") == "made"


def test_limits_of_the_process(cli: Cli) -> None:
    assert sh(cli, "ulimit -n; ulimit -Hn", "--ulimit", "nofile=100:200").split() == ["100", "200"]


def test_a_hard_limit_that_cannot_be_raised_is_clamped_with_a_warning(cli: Cli) -> None:
    done = cli("run", "--rm", "--ulimit", "nofile=9999999:9999999", "busybox", "sh", "-c", "ulimit -n")
    if "clamped" not in done.stderr:
        pytest.skip("this host has CAP_SYS_RESOURCE, nothing is clamped")
    assert done.returncode == 0
    assert int(done.stdout) < 9999999


def test_init_reaps_orphans_and_forwards_signals(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "tidy", "--init", "busybox", "sh", "-c", "(sleep 0.1 &) ; sleep 1000")
    processes = sh(cli, "ps", "--pid", "container:tidy")
    assert "sleep 1000" in processes
    cli.ok("stop", "tidy")
    assert cli.inspect("tidy")["State"]["ExitCode"] == 143


def test_files_of_the_state_are_nobodys_business(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "private", "busybox", "sleep", "1000")
    for directory in (cli.root, cli.run_root):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    log = cli.root / "containers" / cli.inspect("private")["Id"] / "log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_nothing_is_mounted_over_proc(cli: Cli) -> None:
    done = cli("run", "--rm", "-v", "/tmp:/proc/self", "busybox", "true")
    assert done.returncode == 125
    assert "/proc" in done.stderr
