"""Containers whose plugins have processes of their own, well and failing, as a user meets them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmanager.linux.process import children

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

#: A plugin for everybody: chroot under another name, and hooks, each with a fault where the environment says so.
SOURCE = """
import os, time
open({mark!r}, "a").write("imported\\n")
from attrs import frozen
from cmanager import hookimpl
from cmanager.model import Attachment, Cgroup, Provider, Usage
from cmanager_chroot import Chroot

def fault(where):
    what = os.environ.get("FAULT_" + where.upper(), "")
    if what == "hang": time.sleep(1000)
    if what == "crash": os.kill(os.getpid(), 11)
    if what == "raise": 1 / 0

class Mine(Chroot):
    def create(self, bundle, stdio):
        fault("create")
        return super().create(bundle, stdio)
    def start(self, id):
        fault("start")
        return super().start(id)
    def wait(self, id):
        fault("wait")
        return super().wait(id)
    def kill(self, id, init, number):
        fault("kill")
        return super().kill(id, init, number)

@hookimpl
def cmanager_runtimes():
    fault("load")
    return [Provider("mine", lambda context, options: Mine())]
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that has a line for each time the plugin was imported."""
    return tmp_path / "imported"


@pytest.fixture
def mine(cli: Cli, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """The command line with runtime.mine, listed in a plugins.toml."""
    package = tmp_path / "site" / "thirdparty"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SOURCE.format(mark=str(mark)))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    config = tmp_path / "plugins.toml"
    config.write_text('[plugins.runtime.mine]\nmodule = "thirdparty [api1]"\ndeadlines = 1\n')
    yield Cli(cli.root, cli.run_root, config)
    for variable in [name for name in os.environ if name.startswith("FAULT_")]:
        monkeypatch.delenv(variable)
    Cli(cli.root, cli.run_root, config).clear()


def run(*arguments: str) -> tuple[str, ...]:
    return ("run", "--runtime", "mine", "--network", "host", *arguments)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_its_process_is_a_child_of_the_supervisor_in_its_mount_namespace(mine: Cli) -> None:
    mine.ok(*run("-d", "--name", "box", "busybox", "sleep", "1000"))
    init = mine.inspect("box")["State"]["Pid"]
    host = parent(init)
    above = parent(host)
    assert children(above) == [host]
    assert os.readlink(f"/proc/{host}/ns/mnt") == os.readlink(f"/proc/{above}/ns/mnt")
    assert os.readlink(f"/proc/{host}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    mine.ok("rm", "-f", "box")
    wait_until(lambda: not Path(f"/proc/{host}").exists(), "the end of the plugin's process")


def test_the_containers_streams_and_exit_code_go_through_untouched(mine: Cli) -> None:
    done = mine(*run("--rm", "-i", "busybox", "sh", "-c", "cat; echo err >&2; exit 7"), stdin="in\n")
    assert (done.returncode, done.stdout) == (7, "in\n")
    assert done.stderr.endswith("err\n")


def test_a_container_outlives_the_process_of_its_runtime(mine: Cli) -> None:
    mine.ok(*run("-d", "--name", "box", "busybox", "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done"))
    init = mine.inspect("box")["State"]["Pid"]
    os.kill(parent(init), signal.SIGKILL)
    assert mine.inspect("box")["State"]["Status"] == "running"
    mine.ok("stop", "box")
    assert mine.ok("wait", "box") == "9"


@pytest.mark.parametrize(
    ("where", "what", "said"),
    [
        ("load", "hang", "gave no answer while it was loaded within 1 s and was ended"),
        ("load", "crash", "was killed by signal 11 (SIGSEGV) while it was loaded"),
        ("load", "raise", "failed in cmanager_runtimes: ZeroDivisionError"),
        ("create", "hang", "gave no answer in create within 1 s and was ended"),
        ("create", "crash", "was killed by signal 11 (SIGSEGV) in create"),
        ("create", "raise", "failed in create: ZeroDivisionError"),
        ("start", "hang", "gave no answer in start within 1 s and was ended"),
        ("start", "crash", "was killed by signal 11 (SIGSEGV) in start"),
    ],
)
def test_a_fault_is_125_names_the_plugin_and_leaves_nothing(
    mine: Cli, monkeypatch: pytest.MonkeyPatch, where: str, what: str, said: str
) -> None:
    monkeypatch.setenv(f"FAULT_{where.upper()}", what)
    done = mine(*run("--rm", "--name", "box", "busybox", "true"))
    assert done.returncode == 125
    assert f"runtime plugin 'mine' {said}" in done.stderr
    assert mine.ok("ps", "-aq") == ""
    assert mine("run", "--rm", "--network", "none", "busybox", "echo", "next").stdout == "next\n"


@pytest.mark.parametrize("what", ["hang", "crash"])
def test_an_exit_code_is_known_whatever_becomes_of_the_runtime(
    mine: Cli, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("FAULT_WAIT", what)
    assert mine(*run("--name", "box", "busybox", "sh", "-c", "exit 5")).returncode == 5
    monkeypatch.delenv("FAULT_WAIT")
    assert "runtime plugin 'mine'" in mine.ok("inspect", "-f", "{{json .Cmanager.Warnings}}", "box")


def test_one_that_cannot_kill_does_not_keep_its_container_alive(mine: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.ok(*run("-d", "--name", "box", "busybox", "sleep", "1000"))
    monkeypatch.setenv("FAULT_KILL", "hang")
    began = time.monotonic()
    mine.ok("rm", "-f", "box")
    assert time.monotonic() - began < 20


def test_commands_that_do_not_need_it_never_touch_it(mine: Cli, mark: Path) -> None:
    for command in (
        ("ps", "-a"),
        ("images",),
        ("volume", "ls"),
        ("pod", "ls"),
        ("run", "--rm", "--network", "none", "busybox", "true"),
        ("system", "df"),
    ):
        mine.ok(*command)
    assert not mark.exists()
    mine.ok("plugin", "ls")
    assert mark.exists()


def test_each_call_can_be_followed(mine: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMANAGER_TRACE", str(tmp_path / "trace"))
    mine.ok(*run("--rm", "busybox", "true"))
    lines = (tmp_path / "trace").read_text().splitlines()
    followed = [line.split(" ", 4)[3:] for line in lines if " runtime.mine " in line]
    calls = [call.partition("(")[0] for _, call in followed]
    assert [call for call in calls if call != "features"] == ["create", "start", "wait", "delete"]
    assert all(line.endswith(" ms") for line in lines)
    monkeypatch.setenv("CMANAGER_TRACE", "1")
    done = mine("images")
    assert "cmanager: trace: " in done.stderr
    assert "image.layers entries() -> (" in done.stderr
