"""Events: what happened, replayed and followed, and the plugins that hear of it."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cmanager.linux.process import start_time

from ..support import Cli, end, wait_until

pytestmark = pytest.mark.root

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (\w+) (\w+) (\S+) \((.*)\)")


@pytest.fixture
def now(cli: Cli) -> str:
    cli.ok("pull", "-q", "busybox")
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


@pytest.fixture
def follow(cli: Cli) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `events` in the background; it is ended after the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        begun.append(cli.start("events", *arguments))
        return begun[-1]

    yield start
    for process in begun:
        end(process)


def actions(cli: Cli, since: str, *filters: str) -> list[str]:
    """What happened to containers since then, by action."""
    options = [word for text in (*filters, "type=container") for word in ("--filter", text)]
    return cli.ok("events", "--since", since, "--until", "0s", "--format", "{{.Action}}", *options).split()


def test_a_life_is_told_from_beginning_to_end(cli: Cli, now: str) -> None:
    identity = cli.ok("run", "-d", "--name", "life", "-l", "tier=web", "busybox", "sleep", "1000")
    cli.ok("stop", "-t", "0", "life")
    cli.ok("rm", "life")
    lines = cli.ok("events", "--since", now, "--until", "0s").splitlines()
    found = [match.groups() for line in lines if (match := LINE.fullmatch(line))]
    assert len(found) == len(lines)
    assert [action for _, action, _, _ in found] == ["create", "start", "kill", "kill", "die", "stop", "destroy"]
    assert {(kind, id) for kind, _, id, _ in found} == {("container", identity)}
    assert found[1][3] == "image=busybox, name=life, tier=web"
    assert found[2][3] == "image=busybox, name=life, signal=15, tier=web"
    assert found[4][3] == "exitCode=137, image=busybox, name=life, tier=web"
    assert lines == sorted(lines)


def test_json_has_dockers_shape(cli: Cli, now: str) -> None:
    identity = cli.ok("create", "--name", "shaped", "busybox")
    text = cli.ok("events", "--since", now, "--until", "0s", "--format", "json")
    found = json.loads(text)
    nanoseconds = found.pop("timeNano")
    assert found == {
        "status": "create",
        "id": identity,
        "from": "busybox",
        "Type": "container",
        "Action": "create",
        "Actor": {"ID": identity, "Attributes": {"image": "busybox", "name": "shaped"}},
        "scope": "local",
        "time": nanoseconds // 10**9,
    }
    template = "{{.Type}} {{.Actor.Attributes.name}} {{.Actor.Attributes.none}} {{json .Actor.ID}}"
    shown = cli.ok("events", "--since", now, "--until", "0s", "--format", template)
    assert shown == f'container shaped <no value> "{identity}"'


def test_who_knows_the_last_event_goes_on_from_there(cli: Cli, now: str) -> None:
    for name in ("one", "two", "three"):
        cli.ok("create", "--name", name, "busybox")
    documents = cli.ok("events", "--since", now, "--until", "0s", "--format", "json").splitlines()
    second = json.loads(documents[1])["timeNano"]
    stamp = f"{second // 10**9}.{second % 10**9:09}"
    assert cli.ok("events", "--since", stamp, "--until", "0s", "--format", "json").splitlines() == documents[1:]
    assert cli.ok("events", "--since", now, "--until", stamp, "--format", "json").splitlines() == documents[:2]


def test_following_shows_the_past_and_then_the_present(
    cli: Cli, now: str, follow: Callable[..., subprocess.Popen[bytes]]
) -> None:
    cli.ok("create", "--name", "past", "busybox")
    process = follow("--since", now, "--filter", "event=create", "--format", "{{.Actor.Attributes.name}}")
    assert process.stdout
    assert process.stdout.readline() == b"past\n"
    cli.ok("create", "--name", "present", "busybox")
    assert process.stdout.readline() == b"present\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


def test_following_without_a_past_begins_now(cli: Cli, follow: Callable[..., subprocess.Popen[bytes]]) -> None:
    cli.ok("create", "--name", "earlier", "busybox")
    process = follow("--format", "{{.Actor.Attributes.name}}")
    assert process.stdout

    def heard() -> bool:
        cli.ok("rm", "-f", "later")
        cli.ok("create", "--name", "later", "busybox")
        return bool(select.select([process.stdout], [], [], 0)[0])

    wait_until(heard, "it follows")
    assert process.stdout.readline() == b"later\n"


def test_filters_are_dockers_and_negation(cli: Cli, now: str) -> None:
    identity = cli.ok("create", "--name", "chosen", "-l", "tier=web", "busybox", "true")
    cli.ok("create", "--name", "other", "busybox", "true")
    cli.ok("start", "chosen")
    cli.ok("wait", "chosen")
    assert actions(cli, now, "container=chosen") == ["create", "start", "die"]
    assert actions(cli, now, f"container={identity[:12]}", "event!=die") == ["create", "start"]
    assert actions(cli, now, "event=create", "event=die") == ["create", "create", "die"]
    assert actions(cli, now, "label=tier=web", "event=start") == ["start"]
    assert actions(cli, now, "container!=chosen") == ["create"]
    assert actions(cli, now, "image=debian") == []
    assert len(actions(cli, now, "image=busybox")) == 4
    refused = cli("events", "--filter", "colour=red")
    assert refused.returncode == 125
    assert "container, event, image, label" in refused.stderr
    assert cli("events", "--since", "soon").returncode == 125
    assert cli("events", "--format", "{{.Nme").returncode == 125


def test_images_have_events_too(cli: Cli, now: str) -> None:
    cli.ok("pull", "-q", "busybox")
    cli.ok("tag", "busybox", "mine:1")
    identity = cli.inspect("mine:1")["Id"]
    cli.ok("rmi", "mine:1")
    found = cli.ok("events", "--since", now, "--until", "0s", "--filter", "type=image").splitlines()
    about = [match.groups()[1:3] for line in found if (match := LINE.fullmatch(line))]
    assert about == [("pull", "busybox:latest"), ("tag", identity), ("untag", "mine:1")]


def test_a_container_killed_for_memory_says_so(cli: Cli, now: str) -> None:
    cli("run", "--name", "hungry", "-m", "20m", "busybox", "sh", "-c", "head -c 200m /dev/zero | tail")
    if not cli.inspect("hungry")["State"]["OOMKilled"]:
        pytest.skip("this host did not count the kill")
    assert actions(cli, now, "event!=limit") == ["create", "start", "oom", "die"]
    assert "limit: memory" in cli.ok("events", "--since", now, "--until", "0s", "--filter", "event=limit")


def test_a_lost_supervisor_and_a_vanished_container_die_as_well(cli: Cli, now: str) -> None:
    for name, flags in (("bereft", ()), ("fleeting", ("--rm",))):
        cli.ok("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")
        base = cli.run_root if flags else cli.root
        identity = cli.inspect(name)["Id"]
        status = json.loads((base / "containers" / identity / "status.json").read_text())
        pid, started = status["supervisor"]["pid"], status["supervisor"]["started"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid, started=started: start_time(pid) != started, "it is dead")  # type: ignore[misc]
    cli.ok("ps", "-a")
    assert actions(cli, now, "container=bereft") == ["create", "start", "die"]
    assert actions(cli, now, "container=fleeting") == ["create", "start", "die", "destroy"]
    last = cli.ok("events", "--since", now, "--until", "0s", "--filter", "event=die", "--filter", "container=bereft")
    assert "exitCode=137" in last


def test_a_program_in_a_container_is_told_with_its_command(cli: Cli, now: str) -> None:
    cli.ok("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    cli.ok("exec", "host", "echo", "a b")
    template, span = "{{.Action}}", ("--since", now, "--until", "0s")
    found = cli.ok(
        "events", *span, "--filter", "event=exec_create", "--filter", "event=exec_start", "--format", template
    )
    assert found.splitlines() == ["exec_create: echo a b", "exec_start: echo a b"]


def test_a_container_that_ran_when_the_host_went_down_dies_at_the_first_look(cli: Cli, tmp_path: Path) -> None:
    own = Cli(tmp_path / "root", tmp_path / "run")
    identity = own.ok("create", "--name", "before", "busybox")
    path = own.root / "containers" / identity / "status.json"
    gone = {"pid": 1, "started": 1, "boot": "another"}
    record = json.loads(path.read_text()) | {"state": "running", "supervisor": gone, "boot": "another"}
    path.write_text(json.dumps(record))
    shutil.rmtree(own.run_root)
    assert own.ok("ps", "-a", "--format", "{{.Status}}").startswith("Exited (255)")
    found = own.ok("events", "--until", "0s", "--filter", "event=die")
    assert "exitCode=255, image=busybox, name=before" in found
    own.ok("rm", "before")


@pytest.fixture
def listening(cli: Cli, tmp_path: Path) -> Cli:
    """A command line with two plugins that listen: one writes down what it hears, the other always fails."""
    (tmp_path / "event_scribe.py").write_text(
        "from cmanager import hookimpl\n\n\n@hookimpl\ndef cmanager_event(event):\n"
        f"    with open({str(tmp_path / 'heard')!r}, 'a') as file:\n"
        "        print(event.kind, event.action, event.attributes['name'], event.time, file=file)\n"
    )
    (tmp_path / "event_failure.py").write_text(
        "from cmanager import hookimpl\n\n\n@hookimpl\ndef cmanager_event(event):\n    raise OSError('deaf \\x1b[2J')\n"
    )
    config = tmp_path / "plugins.toml"
    config.write_text(
        '[plugins]\nhooks.scribe = "event_scribe [api1]"\nhooks.failure = "event_failure [api1]"\n'
        '[hooks]\nevent = ["failure", "scribe"]\n'
    )
    return Cli(cli.root, cli.run_root, config)


def test_a_listener_that_fails_is_one_warning_and_stops_nothing(
    listening: Cli, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = listening("run", "--name", "heard", "busybox", "echo", "fine")
    warning = "cmanager: warning: hooks plugin 'failure' failed in cmanager_event: OSError: deaf \\x1b[2J, its log: "
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert done.stderr.startswith(warning)
    assert done.stderr.count("\n") == 1
    listening.ok("wait", "heard")
    heard = (tmp_path / "heard").read_text().splitlines()
    assert [line.rpartition(" ")[0] for line in heard] == [
        "container create heard",
        "container start heard",
        "container die heard",
    ]
    assert actions(listening, now) == ["create", "start", "die"]
    (recorded,) = listening.inspect("heard")["Cmanager"]["Warnings"]
    assert recorded.startswith("hooks plugin 'failure' failed in cmanager_event: OSError: deaf \x1b[2J, its log: ")
