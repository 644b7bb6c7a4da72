"""Completion, asked for by the shells themselves."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..support import COMMAND, Cli

pytestmark = pytest.mark.root

ASK = """
source <(cmanager completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
_cmanager_completion cmanager cmanager
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which the command under test is called `cmanager`."""
    command = tmp_path / "bin" / "cmanager"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


@pytest.fixture
def ask(cli: Cli, path: str) -> Callable[[str], list[str]]:
    """What Bash would offer behind a line."""

    def reply(line: str) -> list[str]:
        environment = {**cli.environment, "PATH": path}
        command = ["bash", "--norc", "-c", ASK, "bash", line]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout.splitlines()

    return reply


def test_commands_and_options_are_completed(ask: Callable[[str], list[str]]) -> None:
    assert {"run", "ps", "completion"} <= set(ask("cmanager "))
    assert ask("cmanager comp") == ["completion"]
    assert ask("cmanager plugin ") == ["ls", "new"]
    assert ask("cmanager plugin new mine --seam st") == ["storage"]
    assert ask("cmanager run --stop-") == ["--stop-signal", "--stop-timeout"]
    assert ask("cmanager nonsense ") == []
    assert ask('cmanager run "unclosed') == []


def test_containers_are_completed_by_what_the_command_can_do_with_them(
    cli: Cli, ask: Callable[[str], list[str]]
) -> None:
    cli.ok("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
    identity = cli.ok("create", "--name", "rests", "busybox")
    assert ask("cmanager stop ") == ["runs"]
    assert ask("cmanager start ") == ["rests"]
    assert sorted(ask("cmanager rm ")) == ["rests", "runs"]
    assert ask("cmanager rm rests ") == ["runs"]
    assert ask(f"cmanager logs {identity[:6]}") == [identity[:12]]
    assert ask("cmanager run --network container:") == ["runs"]


def test_images_networks_runtimes_and_values_are_completed(cli: Cli, ask: Callable[[str], list[str]]) -> None:
    cli.ok("pull", "-q", "busybox")
    assert ask("cmanager run busy") == ["busybox", "busybox:latest"]
    # Bash takes what is behind the colon for a word of its own.
    assert ask("cmanager rmi busybox:") == ["latest"]
    assert ask("cmanager run --network br") == ["bridge"]
    assert ask("cmanager run --network=br") == ["bridge"]
    assert "native" in ask("cmanager run --runtime ")
    assert ask("cmanager run --pull ") == ["missing", "always", "never"]
    assert ask("cmanager kill -s SIGTER") == ["SIGTERM"]
    assert ask("cmanager run --cap-add NET_A") == ["NET_ADMIN"]
    assert ask("cmanager ps --filter anc") == ["ancestor="]
    assert ask("cmanager ps --filter status=") == ["created", "running", "paused", "restarting", "exited"]
    assert ask("cmanager events --filter ty") == ["type="]
    assert ask("cmanager ps --sort cr") == ["created", "created:desc"]


def test_pods_are_completed(cli: Cli, ask: Callable[[str], list[str]]) -> None:
    cli.ok("pod", "create", "--name", "pair")
    try:
        assert ask("cmanager pod rm ") == ["pair"]
        assert ask("cmanager run --pod p") == ["pair"]
        assert ask("cmanager run --pod ne") == ["new:"]
        assert ask("cmanager ps --filter pod=") == ["pair"]
        assert ask("cmanager pod ls --filter status=deg") == ["degraded"]
        assert {"create", "ls", "unpause"} <= set(ask("cmanager pod "))
    finally:
        cli.ok("pod", "rm", "pair")


def test_volumes_are_completed(cli: Cli, ask: Callable[[str], list[str]]) -> None:
    for name in ("data", "logs"):
        cli.ok("volume", "create", name)
    try:
        assert ask("cmanager volume rm ") == ["data", "logs"]
        assert ask("cmanager volume inspect da") == ["data"]
        assert ask("cmanager run -v lo") == ["logs:"]
        assert ask("cmanager run -v /") == []
        assert ask("cmanager ps --filter volume=da") == ["data"]
        assert ask("cmanager volume ls --filter na") == ["name="]
        assert ask("cmanager volume ls --sort na") == ["name", "name:desc"]
        assert ask("cmanager ps --filter restart-policy=un") == ["unless-stopped"]
        assert ask("cmanager system prune --filter u") == ["until="]
    finally:
        cli.ok("volume", "rm", "data", "logs")


def test_nothing_is_written_and_errors_are_silent(cli: Cli, tmp_path: Path, ask: Callable[[str], list[str]]) -> None:
    nowhere = tmp_path / "nowhere"
    assert ask(f"cmanager --root {nowhere} --run-root {nowhere} start ") == []
    assert not nowhere.exists()
    broken = tmp_path / "broken.toml"
    broken.write_text("[")
    environment = {"_CMANAGER_COMPLETE": "bash_complete", "COMP_LINE": f"cmanager --config {broken} rmi "}
    done = cli(env=environment)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_the_tab_key_completes_behind_a_colon(cli: Cli, path: str) -> None:
    cli.ok("pull", "-q", "busybox")
    ours, theirs = pty.openpty()
    environment = {**cli.environment, "PATH": path, "PS1": "$ ", "TERM": "dumb"}
    shell = subprocess.Popen(["bash", "--norc", "-i"], env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        os.write(ours, b"source <(cmanager completion bash); echo re''ady\n")
        for typed, answer in ((b"", b"ready"), (b"echo cmanager; cmanager rmi busybox:la\t", b"busybox:latest")):
            os.write(ours, typed)
            deadline = time.monotonic() + 30
            while answer not in written and time.monotonic() < deadline:
                written += os.read(ours, 4096)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
    assert b"busybox:latest" in written
    assert b"busybox:busybox" not in written


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_read_their_script(cli: Cli, tmp_path: Path, shell: str) -> None:
    script = tmp_path / f"completion.{shell}"
    script.write_text(cli.ok("completion", shell) + "\n")
    assert "_CMANAGER_COMPLETE" in script.read_text()
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed: its syntax was not checked")
    subprocess.run([shell, "-n", str(script)], check=True)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_whole_words(cli: Cli, shell: str) -> None:
    cli.ok("create", "--name", "offered", "busybox")
    for words, answer in (("cmanager start off", "offered"), ("cmanager run --network=br", "--network=bridge")):
        last = words.split()[-1]
        number = str(len(words.split()) - 1)
        asked = {"COMP_WORDS": words, "COMP_CWORD": number if shell == "zsh" else last}
        found = cli.ok(env={"_CMANAGER_COMPLETE": f"{shell}_complete", **asked})
        assert answer in found.replace(",", "\n").replace("\t", "\n").splitlines()


def test_an_unknown_shell_is_refused(cli: Cli) -> None:
    assert cli("completion", "csh").returncode == 125
