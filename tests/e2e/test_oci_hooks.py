"""OCI hooks directories with real containers: each stage at its time, and one that fails is 125 with its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ..support import Cli, wait_until

pytestmark = pytest.mark.root

RUNTIMES = ["native", pytest.param("runc", marks=pytest.mark.skipif(not shutil.which("runc"), reason="needs runc"))]


class Hooks:
    """A hooks.d directory, and a command line that reads it."""

    def __init__(self, machine: Cli, place: Path) -> None:
        self.place = place
        self.directory = place / "hooks.d"
        self.directory.mkdir()
        config = place / "plugins.toml"
        config.write_text(f'[hooks]\namend = ["oci"]\n[hooks.oci]\ndirectories = ["{self.directory}"]\n')
        self.cli = Cli(machine.root, machine.run_root, config)

    def add(self, script: str, *stages: str, when: dict[str, Any] | None = None, name: str = "hook") -> Path:
        program = self.place / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        content = {
            "version": "1.0.0",
            "hook": {"path": str(program), "timeout": 10},
            "when": when or {"always": True},
            "stages": stages,
        }
        (self.directory / f"{name}.json").write_text(json.dumps(content))
        return program

    def heard(self, name: str = "heard") -> list[dict[str, Any]]:
        path = self.place / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def hooks(cli: Cli, tmp_path: Path) -> Hooks:
    return Hooks(cli, tmp_path)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_stage_runs_at_its_time(hooks: Hooks, runtime: str) -> None:
    stages = ["createRuntime", "createContainer", "poststop", *(["poststart"] if runtime == "native" else [])]
    for stage in stages:
        hooks.add(f"(tr -d '\\n'; echo) >> {hooks.place}/{stage}", stage, name=f"run-{stage}")
    id = hooks.cli.ok("run", "-d", "--runtime", runtime, "busybox", "sleep", "99")
    for stage in stages:
        assert [state["id"] for state in hooks.heard(stage)] == ([] if stage == "poststop" else [id]), stage
    hooks.cli.ok("rm", "-f", id)
    wait_until(lambda: hooks.heard("poststop"), "the last one ran")
    assert hooks.heard("poststop")[0]["status"] == "stopped"
    assert hooks.heard("createRuntime")[0]["bundle"].endswith(f"{id}/bundle")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_hook_of_the_containers_own_runs_inside(hooks: Hooks, runtime: str) -> None:
    content = {
        "version": "1.0.0",
        "hook": {"path": "/bin/touch", "args": ["touch", "/touched"]},
        "when": {"annotations": {"^touch$": "yes"}},
        "stages": ["startContainer"],
    }
    (hooks.directory / "inside.json").write_text(json.dumps(content))
    options = ("run", "--rm", "--runtime", runtime, "--network", "none")
    assert hooks.cli.ok(*options, "--annotation", "touch=yes", "busybox", "ls", "/touched") == "/touched"
    assert hooks.cli(*options, "busybox", "ls", "/touched").returncode == 1


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "stage", [pytest.param("prestart", marks=pytest.mark.slow), "createRuntime", "createContainer"]
)
def test_one_that_fails_is_125_and_names_stage_and_program(hooks: Hooks, runtime: str, stage: str) -> None:
    program = hooks.add("echo no room >&2; exit 3", stage)
    done = hooks.cli("run", "--rm", "--runtime", runtime, "--network", "none", "busybox", "true")
    assert (done.returncode, done.stdout) == (125, "")
    [said] = [line for line in done.stderr.splitlines() if not line.startswith("cmanager: warning: ")]
    assert f"{stage} hook {program}" in said
    assert hooks.cli.names() == []


def test_bind_mounts_are_the_hosts_that_were_asked_for(hooks: Hooks) -> None:
    hooks.add(f"(tr -d '\\n'; echo) >> {hooks.place}/heard", "createRuntime", when={"hasBindMounts": True})
    hooks.cli.ok("run", "--rm", "busybox", "true")
    assert hooks.heard() == []
    hooks.cli.ok("run", "--rm", "-v", f"{hooks.place}:/mnt", "busybox", "true")
    assert len(hooks.heard()) == 1


def test_a_file_with_a_mistake_is_125_with_its_name(hooks: Hooks) -> None:
    (hooks.directory / "bad.json").write_text('{"version": "1.0.0", "hok": {}, "when": {}, "stages": []}')
    done = hooks.cli("run", "busybox", "true")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert f"{hooks.directory}/bad.json: unknown key 'hok', did you mean 'hook'" in done.stderr
    assert "running" not in hooks.cli.ok("ps", "-a", "--format", "{{.State}}")


def test_a_stage_that_a_runtime_lacks_is_refused(hooks: Hooks) -> None:
    hooks.add("true", "poststart")
    if not shutil.which("runc"):
        pytest.skip("needs runc")
    done = hooks.cli("run", "--rm", "--runtime", "runc", "busybox", "true")
    assert done.returncode == 125
    assert "hooks.poststart" in done.stderr
