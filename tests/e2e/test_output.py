"""What `ps`, `images`, `inspect` and the other lists show."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from ..support import COMMAND, Cli, end

pytestmark = pytest.mark.root


def test_before_and_since_may_name_a_container_that_does_not_run(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "older", "busybox", "sleep", "1000")
    cli.ok("create", "--name", "middle", "busybox")
    cli.ok("run", "-d", "--name", "newer", "busybox", "sleep", "1000")
    assert cli.ok("ps", "--filter", "before=middle", "--format", "{{.Names}}") == "older"
    assert cli.ok("ps", "--filter", "since=middle", "--format", "{{.Names}}") == "newer"
    assert cli("ps", "--filter", "before=nobody").returncode == 125


def test_inspect_lays_the_request_over_the_image(cli: Cli) -> None:
    image = cli.inspect("busybox")["Config"]
    path = next(entry for entry in image["Env"] if entry.startswith("PATH="))
    cli.ok("create", "--name", "plain", "-e", "A=b", "busybox")
    plain = cli.inspect("plain")["Config"]
    assert plain["Env"] == ["A=b", *image["Env"]]
    assert (plain["Cmd"], plain["Entrypoint"]) == (image["Cmd"], image["Entrypoint"])
    assert (plain["WorkingDir"], plain["User"]) == (image["WorkingDir"], image["User"])
    cli.ok("create", "--name", "own", "-e", "PATH=/own", "-w", "/tmp", "-u", "1:1", "busybox", "ls")
    own = cli.inspect("own")["Config"]
    assert "PATH=/own" in own["Env"]
    assert path not in own["Env"]
    assert (own["Cmd"], own["WorkingDir"], own["User"]) == (["ls"], "/tmp", "1:1")


def test_inspect_shows_what_is_known_when_the_image_is_gone(cli: Cli) -> None:
    cli.ok("tag", "busybox", "passing:1")
    cli.ok("create", "--name", "orphan", "-e", "A=b", "passing:1", "ls")
    try:
        cli.ok("rmi", "-f", "passing:1", "busybox")
        config = cli.inspect("orphan")["Config"]
        assert (config["Env"], config["Cmd"]) == (["A=b"], ["ls"])
    finally:
        cli.ok("pull", "-q", "busybox")


def test_ps_measures_when_it_is_asked_to(cli: Cli) -> None:
    cli.ok("run", "--name", "writer", "busybox", "sh", "-c", "head -c 3000000 /dev/zero > /file")
    header, row = cli.ok("ps", "-a", "-s").splitlines()
    assert header.split()[-2:] == ["SIZE", "RUNTIME"]
    assert "MB (virtual " in row
    size = cli.ok("ps", "-a", "--format", "{{.Size}}")
    assert size.startswith(("3MB (virtual ", "3.0"))
    found = cli.ok("inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "writer").split()
    assert 3_000_000 <= int(found[0]) < int(found[1])


def test_a_typed_document_has_a_schema_and_dockers_lines_stay(cli: Cli) -> None:
    identity = cli.ok("run", "-d", "--name", "typed", "-l", "tier=web", "busybox", "sleep", "1000")
    document = json.loads(cli.ok("ps", "-s", "--ns", "--output", "json"))
    (item,) = document["items"]
    assert document["schema"] == "cmanager.ps/1"
    assert (item["id"], item["labels"], item["exit_code"]) == (identity, {"tier": "web"}, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", item["started_at"])
    assert item["pid"] == cli.inspect("typed")["State"]["Pid"]
    assert item["namespaces"]["net"] == os.stat(f"/proc/{item['pid']}/ns/net").st_ino
    assert isinstance(item["size_bytes"], int)
    for command, schema in (
        (("images",), "images"),
        (("plugin", "ls"), "plugins"),
        (("registry", "ls"), "registry"),
        (("inspect", "typed"), "inspect"),
    ):
        found = json.loads(cli.ok(*command, "--output", "json"))
        assert (found["schema"], bool(found["items"])) == (f"cmanager.{schema}/1", True)
    line = json.loads(cli.ok("ps", "--format", "json"))
    assert all(isinstance(value, str) for value in line.values())
    both = cli("ps", "--output", "json", "--format", "json")
    assert both.returncode == 125
    assert "exclude each other" in both.stderr


def test_ps_sorts_and_leaves_titles_away(cli: Cli) -> None:
    for name in ("b", "c", "a"):
        cli.ok("create", "--name", name, "busybox")
    assert cli.ok("ps", "-a", "--sort", "names", "--format", "{{.Names}}").split() == ["a", "b", "c"]
    assert cli.ok("ps", "-a", "--sort", "-names", "--format", "{{.Names}}").split() == ["c", "b", "a"]
    assert cli.ok("ps", "-a", "--sort", "created", "--format", "{{.Names}}").split() == ["b", "c", "a"]
    assert len(cli.ok("ps", "-a", "--noheading").splitlines()) == 3
    assert len(cli.ok("images", "--noheading", "--sort", "-size,tag").splitlines()) >= 1
    refused = cli("ps", "--sort", "colour")
    assert refused.returncode == 125
    assert "created" in refused.stderr


def test_ps_shows_namespaces(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "apart", "busybox", "sleep", "1000")
    cli.ok("run", "-d", "--name", "with", "--network", "container:apart", "busybox", "sleep", "1000")
    rows = cli.ok("ps", "--ns", "--format", "{{.Names}} {{.NET}} {{.PIDNS}} {{.PID}}").splitlines()
    found = {row.split()[0]: row.split()[1:] for row in rows}
    assert found["apart"][0] == found["with"][0] == str(os.stat(f"/proc/{found['with'][2]}/ns/net").st_ino)
    assert found["apart"][1] != found["with"][1]
    titles = cli.ok("ps", "--ns").splitlines()[0].split()
    assert titles == ["CONTAINER", "ID", "NAMES", "PID", "CGROUPNS", "IPC", "MNT", "NET", "PIDNS", "USERNS", "UTS"]


def test_ps_watches(cli: Cli) -> None:
    process = cli.start("ps", "--watch", "0.1", "--noheading", "-a", "--format", "{{.Names}}")
    try:
        cli.ok("create", "--name", "watched", "busybox")
        assert process.stdout
        assert [process.stdout.readline() for _ in range(3)] == [b"watched\n"] * 3
    finally:
        end(process)


def on_terminal(cli: Cli, columns: int, *arguments: str, **environment: str) -> str:
    """What a command writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {**cli.environment, "TERM": "xterm-256color", **environment}
    variables.pop("COLUMNS", None)
    process = subprocess.Popen([*COMMAND, *arguments], env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:
        pass  # EIO: its last writer has closed it
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    return written.decode().replace("\r\n", "\n")


def test_a_table_fits_its_terminal_and_acts_on_nothing(cli: Cli) -> None:
    evil = "\x1b[2J\x1b]0;title\x07\x9b31m"
    cli.ok("create", "--name", "hostile", "-l", f"a={evil}", "busybox", "echo", evil, "x" * 200)
    assert cli("run", "--name", "failed", "busybox", "false").returncode == 1
    plain = on_terminal(cli, 72, "ps", "-a", NO_COLOR="1")
    assert not [c for c in plain if c != "\n" and (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0)]
    assert max(map(len, plain.splitlines())) <= 72
    assert "hostile" in plain
    whole = on_terminal(cli, 72, "ps", "-a", "--no-trunc")
    assert "\\u001b[2J" in whole
    assert "x" * 200 in whole
    assert "\x1b" not in whole
    coloured = on_terminal(cli, 100, "ps", "-a")
    assert "\x1b[31mExited (1)" in coloured
    # What is left without our own colours is as harmless.
    assert "\x1b" not in re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert "\x1b" not in on_terminal(cli, 100, "ps", "-a", TERM="dumb")


def test_a_pipe_gets_the_whole_table_without_colour(cli: Cli) -> None:
    cli.ok("create", "--name", "n" * 100, "busybox")
    assert cli.ok("ps", "-a", env={"TERM": "xterm-256color", "COLUMNS": "20"}).splitlines()[1].count("n") >= 100
