"""Pods: what their containers share and what not, how long it lasts, and what is refused."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..support import Cli, Snapshot, wait_until
from .test_restart import reboot

pytestmark = pytest.mark.root

SHARED = ("net", "ipc", "uts")
OWN = ("pid", "mnt", "cgroup")
#: Answers each connection to port 80 with a word.
SERVER = ("busybox", "sh", "-c", "while :; do echo $0 | nc -l -p 80; done")


@pytest.fixture(autouse=True)
def no_pods(cli: Cli) -> Any:
    """None is left, whatever a test did."""
    yield
    cli("pod", "rm", "-a", "-f")
    assert cli.ok("pod", "ls", "-q") == ""


def make(cli: Cli, *options: str) -> str:
    return cli.ok("pod", "create", *options)


def sleeper(cli: Cli, name: str, pod: str, *options: str) -> int:
    """A container that sleeps in the pod; returns its first process."""
    cli.ok("run", "-d", "--name", name, "--pod", pod, *options, "busybox", "sleep", "1000")
    pid: int = cli.inspect(name)["State"]["Pid"]
    return pid


def namespaces(pid: int | str) -> dict[str, str]:
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in (*SHARED, *OWN)}


def inspect(cli: Cli, pod: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(cli.ok("pod", "inspect", pod))
    return found[0]


def answer(port: int) -> str:
    """What a port of the host answers, "" while nobody does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(100).decode().strip()
    except OSError:
        return ""


# -- what is shared ----------------------------------------------------------------------------------------------


def test_containers_share_network_ipc_and_uts_and_have_the_rest_for_themselves(cli: Cli) -> None:
    make(cli, "--name", "duo")
    one, two = namespaces(sleeper(cli, "one", "duo")), namespaces(sleeper(cli, "two", "duo"))
    host = namespaces("self")
    for kind in SHARED:
        assert one[kind] == two[kind] != host[kind]
    for kind in OWN:
        assert len({one[kind], two[kind], host[kind]}) == 3
    assert len(cli.ok("exec", "two", "ps").splitlines()) == 3, "a title, the sleeper and ps"
    assert cli.inspect("one")["Cmanager"]["Cgroup"] != cli.inspect("two")["Cmanager"]["Cgroup"]


def test_they_reach_each_other_over_the_loopback(cli: Cli) -> None:
    make(cli, "--name", "duo")
    cli.ok("run", "-d", "--name", "server", "--pod", "duo", *SERVER, "near")
    ask = ("run", "--rm", "--pod", "duo", "busybox", "nc", "127.0.0.1", "80")
    wait_until(lambda: cli(*ask).stdout == "near\n", "it answers")
    assert cli("run", "--rm", "busybox", "nc", "127.0.0.1", "80").returncode != 0


def test_they_have_the_pods_host_name_names_and_name_servers(cli: Cli) -> None:
    options = ("--hostname", "inside", "--add-host", "far:192.0.2.7", "--dns", "192.0.2.53")
    make(cli, "--name", "duo", *options)
    script = "hostname; cat /etc/hostname; echo $HOSTNAME; cat /etc/resolv.conf; grep -c 192.0.2.7 /etc/hosts"
    said = cli.ok("run", "--rm", "--pod", "duo", "busybox", "sh", "-c", script).splitlines()
    assert said == ["inside", "inside", "inside", "nameserver 192.0.2.53", "1"]
    make(cli, "--name", "plain")
    assert cli.ok("run", "--rm", "--pod", "plain", "busybox", "hostname") == "plain"


def test_what_one_writes_into_the_hosts_file_the_other_reads(cli: Cli) -> None:
    make(cli, "--name", "duo")
    sleeper(cli, "one", "duo")
    cli.ok("run", "--rm", "--pod", "duo", "busybox", "sh", "-c", "echo 192.0.2.9 written >> /etc/hosts")
    assert "192.0.2.9 written" in cli.ok("exec", "one", "cat", "/etc/hosts")


def test_others_of_the_network_know_the_pod_by_its_name(cli: Cli) -> None:
    make(cli, "--name", "duo")
    cli.ok("run", "-d", "--pod", "duo", *SERVER, "here")
    wait_until(lambda: cli("run", "--rm", "busybox", "nc", "duo", "80").stdout == "here\n", "it answers")


def test_a_system_v_queue_and_shared_memory_are_seen_by_all_and_last_longer_than_they(cli: Cli) -> None:
    make(cli, "--name", "duo", "--shm-size", "3m")
    path = inspect(cli, "duo")["Namespaces"]["ipc"]
    subprocess.run(["nsenter", f"--ipc={path}", "ipcmk", "-Q"], check=True, capture_output=True)
    script = "tail -n +2 /proc/sysvipc/msg | wc -l; echo kept > /dev/shm/x; df -k /dev/shm | tail -1"
    count, size = cli.ok("run", "--rm", "--pod", "duo", "busybox", "sh", "-c", script).splitlines()
    assert (count, size.split()[1]) == ("1", "3072")
    assert cli.ok("run", "--rm", "--pod", "duo", "busybox", "cat", "/dev/shm/x") == "kept"
    assert cli.ok("run", "--rm", "--pod", "duo", "busybox", "stat", "-c", "%a", "/dev/shm") == "1777"
    assert cli("run", "--rm", "busybox", "test", "-e", "/dev/shm/x").returncode == 1


def test_only_what_was_asked_is_shared(cli: Cli) -> None:
    make(cli, "--name", "some", "--share", "ipc")
    one = namespaces(sleeper(cli, "one", "some", "--hostname", "own", "--network", "none"))
    two = namespaces(sleeper(cli, "two", "some", "--uts", "host", "-p", "8080:80"))
    assert one["ipc"] == two["ipc"]
    assert one["net"] != two["net"]
    assert two["uts"] == namespaces("self")["uts"]
    assert cli.ok("exec", "one", "hostname") == "own"
    assert cli.inspect("one")["HostConfig"]["NetworkMode"] == "none"


def test_the_network_can_be_the_hosts_or_none(cli: Cli) -> None:
    make(cli, "--name", "open", "--network", "host")
    assert namespaces(sleeper(cli, "one", "open"))["net"] == namespaces("self")["net"]
    assert os.uname().nodename not in ("open", ""), "the host keeps its name"
    make(cli, "--name", "closed", "--network", "none")
    assert cli.ok("run", "--rm", "--pod", "closed", "busybox", "ls", "/sys/class/net") == "lo"


def test_another_container_joins_the_network_of_one_in_a_pod(cli: Cli) -> None:
    make(cli, "--name", "duo")
    sleeper(cli, "one", "duo")
    said = cli.ok("run", "--rm", "--network", "container:one", "busybox", "cat", "/etc/hosts")
    assert "duo" in said


# -- ports -------------------------------------------------------------------------------------------------------


def test_a_published_port_reaches_whoever_listens(cli: Cli) -> None:
    make(cli, "--name", "web", "-p", "8080:80")
    assert answer(8080) == ""
    cli.ok("run", "-d", "--name", "first", "--pod", "web", *SERVER, "first")
    wait_until(lambda: answer(8080) == "first", "it answers")
    cli.ok("rm", "-f", "first")
    cli.ok("run", "-d", "--name", "second", "--pod", "web", *SERVER, "second")
    wait_until(lambda: answer(8080) == "second", "the other one answers")
    assert cli.ok("ps", "--format", "{{.Ports}}") == "0.0.0.0:8080->80/tcp"
    assert cli.ok("port", "second", "80") == "0.0.0.0:8080"
    assert cli.ok("pod", "ls", "--format", "{{.Ports}}") == "0.0.0.0:8080->80/tcp"


def test_a_port_belongs_to_the_pod_as_long_as_it_is_there(cli: Cli) -> None:
    make(cli, "--name", "web", "-p", "8080:80")
    taken = cli("run", "--rm", "-p", "8080:80", "busybox", "true")
    assert taken.returncode == 125
    assert "8080" in taken.stderr
    refused = cli("pod", "create", "--name", "other", "-p", "8080:80")
    assert refused.returncode == 125
    assert cli.ok("pod", "ls", "--format", "{{.Name}}") == "web", "nothing of the other is left"
    cli.ok("pod", "rm", "web")
    cli.ok("run", "--rm", "-p", "8080:80", "busybox", "true")


# -- lifetime ----------------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_the_namespaces_outlive_every_container_and_no_process_holds_them(cli: Cli) -> None:
    before = Snapshot.take()
    make(cli, "--name", "duo")
    assert Snapshot.take().processes == before.processes
    spaces = namespaces(sleeper(cli, "one", "duo"))
    sleeper(cli, "two", "duo")
    cli.ok("kill", "one", "two")
    cli.ok("wait", "one", "two")
    again = namespaces(sleeper(cli, "three", "duo"))
    assert [again[kind] for kind in SHARED] == [spaces[kind] for kind in SHARED]
    cli.ok("pod", "rm", "-f", "duo")
    assert Snapshot.take().beyond(before) == {}


def test_its_verbs_are_those_of_its_containers(cli: Cli) -> None:
    make(cli, "--name", "duo")
    assert status(cli) == "Created"
    script = "trap 'exit 0' TERM; sleep 1000 & wait"
    for name in ("one", "two"):
        cli.ok("create", "--name", name, "--pod", "duo", "busybox", "sh", "-c", script)
    assert status(cli) == "Created"
    cli.ok("pod", "start", "duo")
    assert status(cli) == "Running"
    cli.ok("pod", "pause", "duo")
    assert status(cli) == "Paused"
    assert cli("pod", "pause", "duo").returncode == 1
    cli.ok("pod", "unpause", "duo")
    cli.ok("stop", "one")
    assert status(cli) == "Degraded"
    cli.ok("pod", "restart", "duo")
    assert status(cli) == "Running"
    cli.ok("pod", "kill", "-s", "TERM", "duo")
    cli.ok("wait", "one", "two")
    assert status(cli) == "Exited"
    assert cli("pod", "kill", "duo").returncode == 1
    cli.ok("pod", "start", "-a")
    cli.ok("pod", "stop", "duo")
    assert status(cli) == "Exited"


def test_it_starts_in_the_order_of_creation_and_stops_in_reverse(cli: Cli) -> None:
    make(cli, "--name", "duo")
    for name in ("one", "two", "three"):
        cli.ok("create", "--name", name, "--pod", "duo", "--stop-timeout", "0", "busybox", "sleep", "1000")
    cli.ok("pod", "start", "duo")
    cli.ok("pod", "stop", "duo")
    happened = cli.ok("events", "--since", "5m", "--until", "0s", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
    lines = [line for line in happened.splitlines() if line.split()[0] in ("start", "die")][-6:]
    assert lines == [*(f"start {n}" for n in ("one", "two", "three")), *(f"die {n}" for n in ("three", "two", "one"))]


def test_a_reboot_takes_the_namespaces_and_the_next_start_makes_them_anew(tmp_path: Path, cli: Cli) -> None:
    other = Cli(tmp_path / "root", tmp_path / "run")
    make(other, "--name", "web", "-p", "8081:80", "--hostname", "inside", "--network", "bridge")
    other.ok("run", "-d", "--name", "server", "--restart", "always", "--pod", "web", *SERVER, "again")
    wait_until(lambda: answer(8081) == "again", "it answers")
    other.ok("pod", "create", "--name", "empty")
    for directory in (other.run_root / "pods").iterdir():
        for path in directory.iterdir():
            subprocess.run(["umount", path], check=False, capture_output=True)
    reboot(other)
    forget_the_bridge()
    assert answer(8081) == ""
    assert other.ok("pod", "ls", "--format", "{{.Name}} {{.Status}} {{.Ports}}").splitlines() == [
        "empty Created ",
        "web Exited ",
    ]
    assert inspect(other, "web")["Namespaces"] == {}
    other.ok("start", "--all-restartable")
    wait_until(lambda: answer(8081) == "again", "it answers again")
    assert other.ok("exec", "server", "hostname") == "inside"
    other.ok("pod", "start", "empty")
    assert os.path.exists(inspect(other, "empty")["Namespaces"]["net"])
    other.ok("pod", "rm", "-a", "-f")
    other.ok("gc")


def test_what_was_taken_away_behind_its_back_is_made_anew_when_nothing_runs(cli: Cli) -> None:
    make(cli, "--name", "duo")
    sleeper(cli, "one", "duo")
    subprocess.run(["umount", inspect(cli, "duo")["Namespaces"]["ipc"]], check=True)
    refused = cli("run", "--rm", "--pod", "duo", "busybox", "true")
    assert refused.returncode == 125
    assert "pod duo" in refused.stderr
    cli.ok("pod", "kill", "duo")
    cli.ok("wait", "one")
    cli.ok("pod", "start", "duo")
    cli.ok("run", "--rm", "--pod", "duo", "busybox", "true")


def test_new_makes_the_pod_and_gives_it_what_belongs_to_it(cli: Cli) -> None:
    options = ("-p", "8080:80", "--hostname", "inside", "--shm-size", "2m")
    cli.ok("run", "-d", "--name", "server", "--pod", "new:web", *options, *SERVER, "new")
    wait_until(lambda: answer(8080) == "new", "it answers")
    found = inspect(cli, "web")
    assert (found["Hostname"], found["ShmSize"]) == ("inside", 2 << 20)
    taken = cli("run", "--rm", "--pod", "new:web", "busybox", "true")
    assert (taken.returncode, "web" in taken.stderr) == (125, True)
    assert found == inspect(cli, "web")


def test_a_new_pod_goes_with_a_container_that_cannot_be_made_or_started(cli: Cli) -> None:
    assert cli("run", "--pod", "new:web", "--pull", "never", "no/such:image", "true").returncode == 125
    assert cli("run", "--rm", "--pod", "new:web", "busybox", "/no/such/program").returncode == 127
    assert cli("create", "--pod", "new:web", "-m", "1", "busybox", "true").returncode == 125
    assert cli.ok("pod", "ls", "-q") == ""
    assert cli.names() == []


def test_a_container_that_is_removed_at_its_end_leaves_the_pod(cli: Cli) -> None:
    cli.ok("run", "--rm", "--pod", "new:duo", "busybox", "true")
    assert cli.ok("pod", "ls", "--format", "{{.Name}} {{.Status}} {{.NumberOfContainers}}") == "duo Created 0"


def test_one_with_containers_is_not_removed_by_accident(cli: Cli) -> None:
    make(cli, "--name", "duo")
    sleeper(cli, "one", "duo")
    refused = cli("pod", "rm", "duo")
    assert refused.returncode == 1
    assert "one" in refused.stderr
    assert cli.inspect("one")["State"]["Running"]
    cli.ok("pod", "rm", "-f", "duo")
    assert cli.names() == []
    assert cli("pod", "rm", "duo").returncode == 1
    cli.ok("pod", "rm", "-f", "duo")


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("--network", "none"), ("-p", "1:1"), ("-P", ""), ("--dns", "192.0.2.1"), ("--add-host", "a:192.0.2.1")),
        *(("--hostname", "x"), ("--uts", "host"), ("--uts", "private"), ("--ipc", "private"), ("--ipc", "host")),
        *(("--shm-size", "1m"), ("--shm-size", "64m"), ("--userns", "auto"), ("--sysctl", "net.core.somaxconn=9")),
    ],
)
@pytest.mark.alone
def test_what_belongs_to_the_pod_is_refused_of_its_containers(cli: Cli, flag: str, value: str) -> None:
    make(cli, "--name", "duo")
    before = Snapshot.take()
    refused = cli("run", "--pod", "duo", flag, *([value] if value else []), "busybox", "true")
    assert refused.returncode == 125
    names = {"-p": "--publish", "-P": "--publish-all"}
    assert names.get(flag, flag) in refused.stderr
    assert cli.names() == []
    assert Snapshot.take().beyond(before) == {}


def test_pods_that_make_no_sense_are_refused(cli: Cli) -> None:
    make(cli, "--name", "taken")
    for options, word in (
        (("--name", "taken"), "taken"),
        (("--network", "container:x"), "container:x"),
        (("--network", "none", "-p", "80"), "none"),
        (("--network", "nothing"), "nothing"),
        (("--share", "pid"), "pid"),
        (("--share", "uts", "-p", "80"), "--publish"),
        (("--share", "none", "--hostname", "x"), "--hostname"),
        (("--hostname", "a b"), "a b"),
        (("--dns", "x"), "--dns"),
        (("-P",), "-P"),
    ):
        refused = cli("pod", "create", *options)
        assert refused.returncode == 125, options
        assert word in refused.stderr, refused.stderr
    assert cli.ok("pod", "ls", "--format", "{{.Name}}") == "taken"


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "-x", "a b", ".hid", "a\n", "\x1b[31m", ".", "..", "x" * 129, "\u202ex"]
)
def test_names_that_could_be_something_else_are_refused(cli: Cli, name: str) -> None:
    for arguments in (("pod", "create", f"--name={name}"), ("run", f"--pod=new:{name}", "busybox", "true")):
        refused = cli(*arguments)
        assert refused.returncode == 125
        assert "\x1b" not in refused.stderr
    assert cli("pod", "rm", "--", name).returncode == 1
    assert cli.ok("pod", "ls", "-q") == ""


def test_a_record_that_cannot_be_read_stops_nobody_else(cli: Cli) -> None:
    make(cli, "--name", "well")
    broken = make(cli, "--name", "broken")
    sleeper(cli, "one", "broken")
    record = cli.root / "pods" / broken / "config.json"
    for content in ("", "{", '{"schema": 99}', "[" * 100000):
        record.write_text(content)
        assert cli.ok("pod", "ls", "--format", "{{.Name}}") == "well"
        assert cli.ok("ps", "--pod", "--format", "{{.Names}} {{.PodName}}") == "one broken"
        assert cli("pod", "rm", "broken").returncode == 1
        for arguments in (("run", "--rm", "--pod", "broken", "busybox", "true"), ("pod", "inspect", "broken")):
            refused = cli(*arguments)
            assert refused.returncode == 125
            assert "Traceback" not in refused.stderr
        cli.ok("run", "--rm", "--pod", "well", "busybox", "true")
        cli.ok("gc")
    cli.ok("pod", "rm", "-f", "broken")
    assert cli.names() == []
    make(cli, "--name", "broken")


# -- lists -------------------------------------------------------------------------------------------------------


def test_lists_and_filters(cli: Cli) -> None:
    full = make(cli, "--name", "duo", "--label", "tier=web")
    make(cli, "--name", "none")
    sleeper(cli, "one", "duo")
    cli.ok("run", "-d", "--name", "alone", "busybox", "sleep", "1000")
    title, *lines = cli.ok("pod", "ls").splitlines()
    assert [word.strip() for word in title.split("  ") if word.strip()] == [
        *("POD ID", "NAME", "STATUS", "CREATED", "# OF CONTAINERS", "PORTS")
    ]
    assert [line.split()[1] for line in lines] == ["none", "duo"]
    for wanted in ("name=^du", "label=tier", "label=tier=web", "status=running", f"id={full[:8]}", "name!=none"):
        assert cli.ok("pod", "ls", "-q", "--filter", wanted) == full[:12], wanted
    assert cli("pod", "ls", "--filter", "bad=1").returncode == 125
    assert cli.ok("pod", "ls", "-q", "--no-trunc", "--filter", "name=duo") == full
    document = json.loads(cli.ok("pod", "ls", "--output", "json", "--filter", "name=duo"))
    assert document["schema"] == "cmanager.pods/1"
    assert document["items"][0]["containers"][0]["name"] == "one"
    for pod in ("duo", full, full[:6]):
        assert cli.ok("ps", "--filter", f"pod={pod}", "--format", "{{.Names}}") == "one"
    assert cli.ok("ps", "--format", "{{.Names}}|{{.PodName}}").splitlines() == ["alone|", "one|duo"]
    assert cli.ok("ps", "--pod").splitlines()[0].endswith("POD ID         PODNAME")
    found = cli.inspect("one")
    assert (found["Pod"], found["Cmanager"]["Pod"]) == (full, "duo")
    assert (found["HostConfig"]["IpcMode"], found["HostConfig"]["NetworkMode"]) == ("pod:duo", "pod:duo")
    assert cli.inspect("duo")["Id"] == full, "inspect finds pods too"
    assert cli("pod", "inspect", "one").returncode == 1


def test_events(cli: Cli) -> None:
    id = make(cli, "--name", "told", "-l", "a=b")
    cli.ok("pod", "rm", "told")
    filters = ("--filter", "type=pod", "--filter", "pod=told")
    lines = cli.ok("events", "--since", "5m", "--until", "0s", *filters).splitlines()
    assert [line.split()[1:4] for line in lines] == [["pod", "create", id], ["pod", "remove", id]]
    assert "a=b" in lines[0]


def status(cli: Cli) -> str:
    return cli.ok("pod", "ls", "--format", "{{.Status}}")


def forget_the_bridge() -> None:
    """What the kernel forgets in a reboot."""
    subprocess.run(["ip", "link", "delete", "cmanager0"], check=True)
    subprocess.run(["nft", "delete", "table", "ip", "cmanager_cmanager0"], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
