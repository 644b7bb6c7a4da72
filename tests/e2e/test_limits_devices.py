"""Which devices a container may use, at its start and while it runs."""

from __future__ import annotations

import pytest

from ..support import Cli

pytestmark = pytest.mark.root

#: The kernel's log, which is in no default list; without SYSLOG it refuses by itself where dmesg_restrict is on.
_LOG = ("--cap-add", "SYSLOG")
_READ = "mknod /dev/log c 1 11 2>/dev/null; head -c 1 /dev/log >/dev/null && echo read"
_WRITE = "echo x > /dev/log && echo written"


def test_outside_of_the_list_nothing_is_opened_and_inside_all_works(cli: Cli) -> None:
    done = cli("run", "--rm", *_LOG, "busybox", "sh", "-c", f"echo y > /dev/null && echo null; {_READ}")
    assert done.stdout.split() == ["null"]
    assert "not permitted" in done.stderr


@pytest.mark.parametrize(
    ("rule", "can"),
    [
        ("c 1:11 r", ["read"]),
        pytest.param("c 1:* rw", ["read", "written"], marks=pytest.mark.slow),
        pytest.param("c *:* r", ["read"], marks=pytest.mark.slow),
        ("a *:* rwm", ["read", "written"]),
    ],
)
def test_a_rule_lets_it_use_what_it_names_and_no_more(cli: Cli, rule: str, can: list[str]) -> None:
    options = (*_LOG, "--device-cgroup-rule", rule)
    done = cli("run", "--rm", *options, "busybox", "sh", "-c", f"{_READ}; {_WRITE}")
    assert done.stdout.split() == can


def test_a_rule_is_added_while_it_runs_and_nothing_fails_meanwhile(cli: Cli) -> None:
    script = "while :; do echo > /dev/null || echo failed; done"
    cli.ok("run", "-d", "--name", "gets", *_LOG, "busybox", "sh", "-c", script)
    assert cli("exec", "gets", "sh", "-c", _READ).stdout == ""
    for rule in ("c 1:11 r", "c 42:* rwm"):
        cli.ok("update", "--device-cgroup-rule", rule, "gets")
    assert cli.ok("exec", "gets", "sh", "-c", _READ) == "read"
    assert "written" not in cli("exec", "gets", "sh", "-c", _WRITE).stdout
    assert cli.inspect("gets")["HostConfig"]["DeviceCgroupRules"] == ["c 1:11 r", "c 42:* rwm"]
    assert cli.ok("logs", "gets") == ""
    cli.ok("restart", "-t", "0", "gets")
    assert cli.ok("exec", "gets", "sh", "-c", _READ) == "read"
