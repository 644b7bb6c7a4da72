"""What `ps`, `images`, `inspect` and the other lists show."""

from __future__ import annotations

import pytest

from ..support import Cli

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
