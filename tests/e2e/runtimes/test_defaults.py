"""A new default in plugins.toml while containers run: the old ones stay with the runtime that made them."""

from __future__ import annotations

import pytest

from ...support import Cli, wait_until
from .matrix import NAMES, Runtime

pytestmark = pytest.mark.root

_POLITE = ("busybox", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")


@pytest.mark.parametrize("runtime", [name for name in NAMES if name != "native"], indirect=True)
@pytest.mark.everyday("runc")
@pytest.mark.parametrize("way", ["from native", "to native"])
def test_containers_stay_with_who_made_them(machine: Cli, cli: Cli, runtime: Runtime, way: str) -> None:
    before, after = (machine, cli) if way == "from native" else (cli, machine)
    made, other = ("native", runtime.name) if way == "from native" else (runtime.name, "native")
    for name in ("stops", "dies"):
        before.ok("run", "-d", "--name", name, *_POLITE)
        wait_until(lambda n=name: before.ok("logs", n) == "ready", f"{name} runs")  # type: ignore[misc]
    after.ok("run", "-d", "--name", "new", *_POLITE)
    listed = after.ok("ps", "--format", "{{.Names}} {{.Runtime}}").splitlines()
    assert sorted(listed) == [f"dies {made}", f"new {other}", f"stops {made}"]
    if way == "from native" or runtime.able("exec"):
        assert after.ok("exec", "stops", "cat", "/etc/hostname") == after.inspect("stops")["Id"][:12]
    for verb in ("pause", "unpause"):
        after.ok(verb, "stops")
    after.ok("stop", "stops")
    assert after.ok("wait", "stops") == "9"
    after.ok("kill", "dies")
    assert after.ok("wait", "dies") == "137"
    after.ok("start", "stops")
    assert after.inspect("stops")["HostConfig"]["Runtime"] == made
    for name in ("stops", "dies", "new"):
        after.ok("rm", "-f", name)
    assert before.names() == []


def test_the_default_is_told(cli: Cli, runtime: Runtime) -> None:
    assert cli.ok("info", "-f", "{{.DefaultRuntime}}") == runtime.name
