"""The demonstrations of the namespace articles: each namespace, seen from inside and from outside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cmanager.linux import syscalls

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

KINDS = ("mnt", "pid", "uts", "ipc", "net", "cgroup")


def links(cli: Cli, *options: str) -> dict[str, str]:
    out = cli.ok("run", "--rm", *options, "busybox", "sh", "-c", "for n in /proc/self/ns/*; do readlink $n; done")
    return {line.partition(":")[0]: line for line in out.splitlines()}


def host_link(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def test_every_namespace_differs_from_the_hosts(cli: Cli) -> None:
    inside = links(cli)
    for kind in KINDS:
        assert inside[kind] != host_link(kind)
    assert inside["user"] == host_link("user")


@pytest.mark.parametrize(
    ("option", "kind"), [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
)
def test_one_can_be_the_hosts(cli: Cli, option: str, kind: str) -> None:
    assert links(cli, option, "host")[kind] == host_link(kind)


def test_sharing_the_hosts_cgroup_namespace_changes_nothing_for_the_host(cli: Cli) -> None:
    def mounted() -> list[str]:
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup" in line]

    before = mounted()
    script = "sed -n 's/^0:://p' /proc/self/cgroup; find /sys/fs/cgroup -name cgroup.controllers | head -n 1"
    own, found = cli.ok("run", "--rm", "--cgroupns", "host", "busybox", "sh", "-c", script).splitlines()
    assert own.count("/") == 2
    assert found
    assert mounted() == before


def test_the_network_can_be_the_hosts(cli: Cli) -> None:
    assert links(cli, "--network", "host")["net"] == host_link("net")


def test_namespaces_can_be_another_containers(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "first", "busybox", "sleep", "1000")
    pid = cli.inspect("first")["State"]["Pid"]
    options = ("--pid", "container:first", "--ipc", "container:first", "--uts", "container:first")
    inside = links(cli, *options, "--network", "container:first")
    for kind in ("pid", "ipc", "uts", "net"):
        assert inside[kind] == os.readlink(f"/proc/{pid}/ns/{kind}")


def test_who_joins_a_uts_namespace_leaves_its_name_alone(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "first", "--hostname", "named", "busybox", "sleep", "1000")
    assert cli.ok("run", "--rm", "--uts", "container:first", "busybox", "hostname") == "named"
    assert cli.ok("exec", "first", "hostname") == "named"


def test_who_shares_with_one_that_shares_has_the_names_of_the_first(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "first", "--hostname", "named", "busybox", "sleep", "1000")
    cli.ok("run", "-d", "--name", "second", "--network", "container:first", "busybox", "sleep", "1000")
    assert "named" in cli.ok("run", "--rm", "--network", "container:second", "busybox", "cat", "/etc/hosts")


def test_who_shares_ipc_shares_its_memory_files(cli: Cli) -> None:
    cli.ok(
        "run", "-d", "--name", "first", "--shm-size", "3m", "busybox", "sh", "-c", "echo said > /dev/shm/x; sleep 1000"
    )
    wait_until(lambda: cli("exec", "first", "test", "-s", "/dev/shm/x").returncode == 0, "it has written")
    script = "cat /dev/shm/x; df -k /dev/shm | tail -1; echo heard > /dev/shm/y"
    said, size = cli.ok("run", "--rm", "--ipc", "container:first", "busybox", "sh", "-c", script).splitlines()
    assert said == "said"
    assert size.split()[1] == "3072"
    assert cli.ok("exec", "first", "cat", "/dev/shm/y") == "heard"
    assert cli("run", "--rm", "busybox", "test", "-e", "/dev/shm/x").returncode == 1


def test_a_namespace_can_be_a_path(cli: Cli) -> None:
    assert links(cli, "--uts", f"ns:/proc/{os.getpid()}/ns/uts")["uts"] == host_link("uts")


def test_a_time_namespace_on_request(cli: Cli) -> None:
    assert links(cli, "--timens", "private")["time"] != host_link("time")
    assert links(cli)["time"] == host_link("time")


def test_its_own_hostname(cli: Cli) -> None:
    before = os.uname().nodename
    assert cli.ok("run", "--rm", "--hostname", "inside", "busybox", "hostname") == "inside"
    assert cli.ok("run", "--rm", "--hostname", "inside", "busybox", "cat", "/etc/hostname") == "inside"
    assert os.uname().nodename == before


def test_a_system_v_queue_of_the_host_is_not_seen(cli: Cli) -> None:
    made = subprocess.run(["ipcmk", "-Q"], check=True, capture_output=True, text=True).stdout
    queue = made.rpartition(":")[2].strip()
    try:
        rows = subprocess.run(["ipcs", "-q"], check=True, capture_output=True, text=True).stdout
        assert f" {queue} " in rows
        look = ("busybox", "cat", "/proc/sysvipc/msg")
        assert len(cli.ok("run", "--rm", *look).splitlines()) == 1
        shared = cli.ok("run", "--rm", "--ipc", "host", *look)
        assert queue in [line.split()[1] for line in shared.splitlines()]
    finally:
        subprocess.run(["ipcrm", "-q", queue], check=True)


def test_the_program_is_process_one_and_sees_only_its_own(cli: Cli) -> None:
    assert cli.ok("run", "--rm", "busybox", "sh", "-c", "echo $$") == "1"
    processes = cli.ok("run", "--rm", "busybox", "ps").splitlines()
    assert len(processes) == 2
    assert processes[1].split()[0] == "1"
    assert "ps" in processes[1]


def test_mounts_inside_do_not_show_outside(cli: Cli, tmp_path: Path) -> None:
    before = Path("/proc/self/mountinfo").read_bytes()
    script = "mount -t tmpfs none /mnt && touch /mnt/file && ls /mnt && umount /mnt"
    cli.ok("run", "-d", "--name", "mounter", "--privileged", "busybox", "sh", "-c", f"{script}; sleep 1000")
    during = Path("/proc/self/mountinfo").read_bytes()
    cli.ok("rm", "-f", "mounter")
    after = Path("/proc/self/mountinfo").read_bytes()
    pinned = [line for line in during.splitlines() if b" nsfs " not in line]
    assert pinned == before.splitlines()
    assert after == before


def test_its_own_interfaces_routes_and_ports(cli: Cli) -> None:
    names = cli.ok("run", "--rm", "busybox", "ls", "/sys/class/net").split()
    assert names == ["eth0", "lo"]
    assert cli.ok("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net") == "lo"
    assert "default via" in cli.ok("run", "--rm", "busybox", "ip", "route")
    # Both listen on the same port at the same time.
    for name in ("one", "two"):
        cli.ok("run", "-d", "--name", name, "busybox", "nc", "-l", "-p", "8080")
    for name in ("one", "two"):
        assert cli.inspect(name)["State"]["Running"] is True


@pytest.mark.usefixtures("user_namespaces")
@pytest.mark.usefixtures("user_namespaces")
def test_before_the_map_is_written_a_process_is_65534_and_after_it_0(cli: Cli) -> None:
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    child = os.fork()
    if child == 0:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(ready_write, b"%d\n" % os.getuid())
        os.read(go_read, 1)
        os.write(ready_write, b"%d\n" % os.getuid())
        os._exit(0)
    assert os.read(ready_read, 16) == b"65534\n"
    Path(f"/proc/{child}/uid_map").write_text("0 0 1\n")
    os.write(go_write, b"g")
    assert os.read(ready_read, 16) == b"0\n"
    os.waitpid(child, 0)
    for fd in (ready_read, ready_write, go_read, go_write):
        os.close(fd)
    # The same map, as a container has it.
    assert cli.ok("run", "--rm", "--userns", "auto", "busybox", "id", "-u") == "0"


@pytest.mark.usefixtures("user_namespaces")
def test_a_user_namespace_maps_root_to_nobody_of_the_host(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "mapped", "--userns", "auto", "busybox", "sleep", "1000")
    pid = cli.inspect("mapped")["State"]["Pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    assert int(uid) >= 100_000
    script = "stat -c '%u:%g' /bin/busybox /etc/passwd; touch /new && stat -c %u /new"
    assert cli.ok("run", "--rm", "--userns", "auto", "busybox", "sh", "-c", script).split() == ["0:0", "0:0", "0"]


@pytest.mark.usefixtures("user_namespaces")
def test_two_user_namespaces_never_share_a_range(cli: Cli) -> None:
    starts = set()
    for name in ("left", "right", "middle"):
        cli.ok("run", "-d", "--name", name, "--userns", "auto", "busybox", "sleep", "1000")
        pid = cli.inspect(name)["State"]["Pid"]
        starts.add(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
    assert len(starts) == 3
