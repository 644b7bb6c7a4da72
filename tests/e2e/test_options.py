"""Options of `run` that people know from Docker and Podman: honoured, or refused in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cmanager.cli.main import load, run
from cmanager.cli.refused import REASONS

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

#: Options, a script for sh -c inside, what it prints.
HONOURED = {
    "a group by its name": (["--group-add", "tty"], "id -G", "0 5"),
    "a group by its number": (["--user", "nobody", "--group-add", "77"], "id -G", "65534 77"),
    "a umask": (["--umask", "0077"], "umask; touch x; stat -c %a x", "0077\n600"),
    "a domain name": (["--domainname", "example.test"], "cat /proc/sys/kernel/domainname", "example.test"),
    "a variable that is not set": (["--unsetenv", "HOME"], "echo ${HOME-none}", "none"),
    "a variable set anew": (["--unsetenv", "PATH", "-e", "PATH=/bin"], "echo $PATH", "/bin"),
    "a variable with an equals sign": (["-e", "A=b=c"], "echo $A", "b=c"),
    "an empty variable": (["-e", "A="], "echo ${A-unset}", ""),
    "the caller's variable": (["-e", "CMANAGER_GIVEN"], "echo $CMANAGER_GIVEN", "caller's"),
    "a variable the caller has not": (["-e", "CMANAGER_MISSING"], "echo ${CMANAGER_MISSING-unset}", "unset"),
    "a search domain": (["--dns-search", "example.test"], "grep ^search /etc/resolv.conf", "search example.test"),
    "no search domain": (["--dns-search", "."], "grep ^search /etc/resolv.conf || echo none", "none"),
    "an option of the resolver": (["--dns-option", "ndots:3"], "grep ^opt /etc/resolv.conf", "options ndots:3"),
    "no hosts file": (["--no-hosts"], "cat /etc/hosts || echo none", "none"),
    "no hostname file": (["--no-hostname"], "cat /etc/hostname || echo none", "none"),
    "a time zone": (["--tz", "Asia/Tokyo"], "date -d @0 +%H:%M%Z", "09:00JST"),
    "who is killed first": (["--oom-score-adj", "777"], "cat /proc/self/oom_score_adj", "777"),
    "an address": (["--ip", "10.88.7.7"], "ip -o -4 addr show eth0 | grep -o 10.88.7.7", "10.88.7.7"),
    "a MAC": (["--mac-address", "02:42:AC:11:00:07"], "cat /sys/class/net/eth0/address", "02:42:ac:11:00:07"),
    "another name": (["--network-alias", "also"], "grep -cw also /etc/hosts", "1"),
    "a full name": (["--hostname", "a", "--domainname", "b.test"], "grep -cw a.b.test /etc/hosts", "1"),
    "the platform of this machine": (["--platform", "linux"], "echo here", "here"),
    "flags with a value": (["--read-only=true", "-i=false", "--init=0"], "touch /x || echo no; echo $$", "no\n1"),
    "a flag taken back": (["--read-only", "--read-only=false"], "touch /x && echo yes", "yes"),
}


@pytest.mark.parametrize("case", HONOURED)
def test_it_is_honoured(cli: Cli, case: str) -> None:
    options, script, answer = HONOURED[case]
    if case == "a time zone" and not os.path.exists("/usr/share/zoneinfo/Asia/Tokyo"):
        pytest.skip("the host has no time zones")
    done = cli("run", "--rm", *options, "busybox", "sh", "-c", script, env={"CMANAGER_GIVEN": "caller's"})
    assert (done.returncode, done.stdout.strip()) == (0, answer), done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--umask", "9"], "--umask"),
        (["--domainname", "a b"], "--domainname"),
        (["--domainname", "a", "--uts", "host"], "--domainname"),
        (["--dns-search", "a b"], "--dns-search"),
        (["--dns-option", ""], "--dns-option"),
        (["--no-hosts", "--add-host", "a:1.2.3.4"], "--no-hosts"),
        (["--tz", "Moon/Crater"], "--tz"),
        (["--tz", "../../etc/passwd"], "--tz"),
        (["--oom-score-adj", "1001"], "--oom-score-adj"),
        (["--ip", "192.0.2.1"], "192.0.2.1"),
        (["--ip", "10.88.0.2", "--network", "none"], "--ip"),
        (["--ip", "10.88.0.2", "--network", "host"], "--ip"),
        (["--mac-address", "01:00:5e:00:00:01"], "01:00:5e:00:00:01"),
        (["--network-alias", "a b"], "--network-alias"),
        (["--network-alias", "a", "--network", "host"], "--network-alias"),
        (["--platform", "linux/s390x"], "linux/s390x"),
        (["--timeout", "-1"], "--timeout"),
        (["--group-add", "nogroup-at-all"], "nogroup-at-all"),
        (["--label-file", "/no/such/file"], "--label-file"),
        (["--annotation", "lonely"], "--annotation"),
        (["--replace"], "--name"),
        (["-d", "-a", "stdout"], "--attach"),
        (["-a", "stdin"], "--interactive"),
        (["-a", "stdwhat"], "stdwhat"),
        (["--rm=perhaps"], "--rm"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(cli: Cli, options: list[str], said: str) -> None:
    done = cli("run", "--rm", *options, "busybox", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert cli.names() == []


@pytest.mark.parametrize("option", REASONS)
def test_what_there_is_not_is_refused_with_what_to_do_instead(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", f"{option}=1", "busybox", "true"]) == 125
    assert capsys.readouterr().err == f"cmanager: {option} is not supported, {REASONS[option]}\n"


def test_nothing_is_refused_that_there_is() -> None:
    known = {name for param in load("run").params for name in param.opts}
    assert known & REASONS.keys() == set()


def test_only_the_managers_oom_score_can_be_gone_below_with_the_capability(cli: Cli) -> None:
    done = cli("run", "--rm", "--oom-score-adj", "-999", "busybox", "cat", "/proc/self/oom_score_adj")
    if done.returncode:
        assert "CAP_SYS_RESOURCE" in done.stderr
    else:
        assert done.stdout == "-999\n"


def test_exec_has_the_same_oom_score(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "first", "--oom-score-adj", "500", "busybox", "sleep", "1000")
    wait_until(lambda: cli.ok("exec", "first", "sh", "-c", "cat /proc/self/oom_score_adj") == "500", "it is set")


def test_an_entry_point_can_be_replaced_and_emptied(cli: Cli) -> None:
    assert cli.ok("run", "--rm", "--entrypoint", "echo", "busybox", "a", "b") == "a b"
    assert cli.ok("run", "--rm", "--entrypoint", "", "busybox", "echo", "bare") == "bare"
    refused = cli("run", "--rm", "--entrypoint", "", "busybox")
    assert refused.returncode == 125
    assert "command" in refused.stderr


def test_labels_and_variables_from_files(cli: Cli, tmp_path: Path) -> None:
    labels, variables = tmp_path / "labels", tmp_path / "variables"
    labels.write_text("# about\ntier=web\nbare\n\n")
    variables.write_text("# about\nA=from file\nB=kept\n")
    options = ("--label-file", str(labels), "-l", "tier=db", "--env-file", str(variables), "-e", "A=given")
    cli.ok("create", "--name", "both", *options, "busybox")
    found = cli.inspect("both")["Config"]
    assert found["Labels"] == {"tier": "db", "bare": ""}
    assert sorted(entry for entry in found["Env"] if entry[:2] in ("A=", "B=")) == ["A=given", "B=kept"]


def test_annotations_reach_the_runtime(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--annotation", "org.example.a=b", "busybox", "sleep", "1000")
    config = json.loads((cli.run_root / "containers" / identity / "bundle/config.json").read_text())
    assert config["annotations"]["org.example.a"] == "b"
    assert cli.inspect(identity)["HostConfig"]["Annotations"] == {"org.example.a": "b"}


def test_an_address_that_is_taken_names_who_has_it(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--ip", "10.88.7.8", "busybox", "sleep", "1000")
    refused = cli("run", "--ip", "10.88.7.8", "busybox", "true")
    assert refused.returncode == 125
    assert identity[:12] in refused.stderr
    assert len(cli.names()) == 1


def test_others_find_it_by_its_alias(cli: Cli) -> None:
    cli.ok("run", "-d", "--network-alias", "db", "--ip", "10.88.7.9", "busybox", "sleep", "1000")
    assert cli.ok("run", "--rm", "busybox", "sh", "-c", "ping -c1 db | head -n1").startswith("PING db (10.88.7.9)")


def test_replacing_takes_name_ports_and_address_over(cli: Cli) -> None:
    place = ("-d", "--name", "web", "-p", "18080:80", "--ip", "10.88.7.10", "busybox", "sleep", "1000")
    first = cli.ok("run", *place)
    assert cli("run", *place).returncode == 125
    second = cli.ok("run", "--replace", *place)
    assert second != first
    assert cli.names() == ["web"]
    assert cli.inspect("web")["Id"] == second
    assert cli.ok("port", "web") == "80/tcp -> 0.0.0.0:18080"


def test_replacing_with_what_cannot_be_leaves_the_old_one(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    for wrong in (("--cpus", "9999", "busybox"), ("no-such-image",)):
        assert cli("run", "-d", "--replace", "--name", "web", *wrong, "true").returncode == 125
    assert cli.inspect("web")["Id"] == identity
    assert cli.inspect("web")["State"]["Running"] is True


def test_it_is_killed_when_its_time_is_over(cli: Cli) -> None:
    assert cli("run", "--rm", "--timeout", "1", "busybox", "sleep", "1000").returncode == 137
    assert cli("run", "--rm", "--timeout", "60", "busybox", "sh", "-c", "exit 3").returncode == 3


def test_only_the_streams_asked_for_are_shown(cli: Cli) -> None:
    both = ("busybox", "sh", "-c", "echo out; echo err >&2; exit 4")
    one = cli("run", "--rm", "-a", "stdout", *both)
    assert (one.returncode, one.stdout, one.stderr) == (4, "out\n", "")
    other = cli("run", "--rm", "-a", "STDERR", *both)
    assert (other.returncode, other.stdout, other.stderr) == (4, "", "err\n")
    fed = cli("run", "-i", "-a", "stdin", "--name", "fed", "busybox", "sh", "-c", "cat; exit 5", stdin="eaten")
    assert (fed.returncode, fed.stdout.strip(), fed.stderr) == (5, cli.inspect("fed")["Id"], "")
    assert cli.ok("logs", "fed") == "eaten"


def test_quiet_shows_nothing_of_a_pull(cli: Cli, tmp_path: Path) -> None:
    fresh = Cli(tmp_path / "root", tmp_path / "run")
    done = fresh("run", "--rm", "-q", "busybox", "echo", "only this")
    assert (done.returncode, done.stdout, done.stderr) == (0, "only this\n", "")
